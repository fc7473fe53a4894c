"""An independent checker of the invariants I1 to I8; I9 is looked for by `disclosure`.

It imports nothing of the services, and believes only servers.

    checker = Checker(databases, amqp_url, management_url)
    await checker.drain()
    assert await checker.violations({order_id: Ending.READY}, history=history) == []

`databases` gives the URL of each service's database; with the control room's, what it has in custody counts as parked.
Orders that are stored and not named are expected to end, too.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tests.invariants import rules
from tests.invariants.books import Reader, read, reading
from tests.invariants.custody import counted, with_custody
from tests.invariants.design import CONSUMERS, CONTROL_ROOM, DEAD, WORK_QUEUES
from tests.invariants.expectations import Ending, Parked, Violation
from tests.invariants.history import Answer
from tests.invariants.queues import Broker, Queue

_PUBLISHED = "SELECT name, count(DISTINCT (event_id, redrive)) AS messages FROM outbox GROUP BY name"
_APPLIED = "SELECT queue, count(*) AS messages FROM inbox GROUP BY queue"
_TO_BE_UNDONE = "SELECT count(*) AS parcels FROM shipments WHERE undo"
_UNSENT = "SELECT count(*) AS messages FROM outbox WHERE sent_at IS NULL"


class NotDrained(AssertionError):  # noqa: N818 - a state
    """Messages are still on their way when the patience is over."""


class Checker:
    """Compares what the databases and a broker hold."""

    def __init__(
        self, databases: Mapping[str, str], amqp_url: str, management_url: str, log: Path | None = None
    ) -> None:
        """`log`: the broker's, where it can be read."""
        self._databases = databases
        self.broker = Broker(amqp_url, management_url, log=log)

    async def violations(
        self,
        expected: Mapping[str, Ending] | None = None,
        parked: Collection[Parked] = (),
        history: Sequence[Answer] = (),
    ) -> list[Violation]:
        """Everything that is wrong once nothing moves any more, sorted; empty when all is well.

        `expected`: the accepted orders and how they are to end; those of the history that are not among them may end
        in any way. `parked`: what is to be among dead letters.
        """
        accepted = (answer.order_id for answer in history if answer.accepted)
        wanted = {order_id: Ending.ANY for order_id in accepted if order_id} | dict(expected or {})
        books, queues, drops = await asyncio.gather(read(self._databases), self.queues(), self.broker.drops())
        return sorted(
            {
                *rules.every_order_ends(books, wanted),
                *rules.money_adds_up(books, wanted),
                *rules.stock_adds_up(books, wanted),
                *rules.one_effect_each(books),
                *rules.nothing_is_lost(books, queues),
                *rules.queues_are_well(queues, parked),
                *rules.one_order_a_key(books, history),
                *rules.nothing_is_dropped(drops),
            }
        )

    async def queues(self) -> Mapping[str, Queue]:
        """Every queue, with its dead letters: those that it holds, and those that were taken into custody."""
        queues = await self.broker.read()
        return await with_custody(queues, self._databases[CONTROL_ROOM]) if CONTROL_ROOM in self._databases else queues

    async def drain(self, seconds: float = 60) -> None:
        """Return once every event is applied or parked, outboxes are empty, parcels undone, and no queue is busy.

        The last is for copies: a relay may have published again what was applied. Where there is a control room,
        dead letters are all in custody, too. Raises NotDrained.
        """
        ends = time.monotonic() + seconds
        async with AsyncExitStack() as stack:
            readers = {name: await stack.enter_async_context(reading(url)) for name, url in self._databases.items()}
            while moving := await self._on_their_way(readers):
                if time.monotonic() > ends:
                    told = ", ".join(f"{count} {where}" for where, count in sorted(moving.items()))
                    raise NotDrained(f"after {seconds:.0f} s: {told}")
                await asyncio.sleep(0.1)

    async def _on_their_way(self, readers: Mapping[str, Reader]) -> Mapping[str, int]:
        """How many messages each queue's consumer has still to apply, and each outbox to send.

        What was applied is counted first: if all that was published later is among it, nothing moves.
        """
        done: Counter[str] = Counter()
        for read_rows in readers.values():
            done.update({row["queue"]: row["messages"] for row in await read_rows(_APPLIED)})
        wanted: Counter[str] = Counter()
        for service, read_rows in readers.items():
            for row in await read_rows(_PUBLISHED):
                wanted.update({f"{heard}.{row['name']}": row["messages"] for heard in CONSUMERS[row["name"]]})
            wanted[f"outbox of {service}"] = (await read_rows(_UNSENT))[0]["messages"]
        wanted["bookings to be undone"] = (await readers["shipping"](_TO_BE_UNDONE))[0]["parcels"]
        missing = wanted - done
        if CONTROL_ROOM in readers:
            missing -= await counted(readers[CONTROL_ROOM])
        else:
            parked = await self.broker.depths([f"{name}{DEAD}" for name in missing if name in WORK_QUEUES])
            missing -= Counter({name.removesuffix(DEAD): depth for name, depth in parked.items()})
        return missing or await self.broker.busy(resting=CONTROL_ROOM not in readers)
