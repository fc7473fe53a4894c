"""What the control room holds: dead letters that it took out of their queues, read by SQL."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace

from tests.invariants.books import Reader, ask
from tests.invariants.design import DEAD, UNROUTED
from tests.invariants.queues import DeadLetter, Queue

_HELD = """
    SELECT queue, coalesce(message_id, '') AS message_id, coalesce(order_id::text, '') AS order_id, redrive,
           error_class AS error
    FROM dead_letters WHERE state <> 'done' ORDER BY id
"""
_COUNTED = "SELECT queue, count(*) AS messages FROM dead_letters WHERE state <> 'done' GROUP BY queue"


async def counted(rows: Reader) -> Counter[str]:
    """How many dead letters of each work queue nobody has handled since."""
    return Counter({row["queue"]: row["messages"] for row in await rows(_COUNTED)})


async def with_custody(queues: Mapping[str, Queue], url: str) -> dict[str, Queue]:
    """The queues, each with the dead letters that the control room took out of it."""
    held: defaultdict[str, list[DeadLetter]] = defaultdict(list)
    for row in (await ask(url, _HELD))[0]:
        queue = row.pop("queue")
        held[queue if queue == UNROUTED else f"{queue}{DEAD}"].append(DeadLetter(**row))
    return {
        name: replace(queue, dead_letters=[*queue.dead_letters, *held.get(name, ())]) for name, queue in queues.items()
    }
