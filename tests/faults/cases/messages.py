"""Messages that come too often, or that nobody can read."""

import asyncio
import json
import random
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import aio_pika
import httpx2
from aio_pika.abc import AbstractExchange

from tests.broker.rabbit import until
from tests.faults.fault import EVERYWHERE, Fault, Goal, Trial
from tests.faults.lab import Lab
from tests.invariants.books import ask
from tests.invariants.design import CONTROL_ROOM, EVENTS_EXCHANGE, WORK_QUEUES
from tests.invariants.expectations import Parked

COPIES = 3
REPLAYS = 2
REQUEUE = "orders.requeue"
_SENT = (
    "SELECT event_id, name, type, order_id, body, headers FROM outbox WHERE sent_at IS NOT NULL AND created_at > '{}'"
)


async def everything_again(trial: Trial) -> None:
    """Every event that was said is published three times more, shuffled; what is parked is replayed twice."""
    lab = trial.lab
    began = (await ask(lab.system.wiring.databases[CONTROL_ROOM], "SELECT now() - interval '30 s' AS at"))[0][0]["at"]
    await trial.accepted(trial.pace.orders // 4)
    with trial.harm():
        databases = lab.system.wiring.databases.values()
        outboxes = await asyncio.gather(*(ask(url, _SENT.format(began.isoformat())) for url in databases))
        said = [message for answers in outboxes for message in answers[0]] * COPIES
        trial.dice.shuffle(said)
        async with await aio_pika.connect(lab.system.wiring.amqp_url) as connection:
            events = await (await connection.channel()).get_exchange(EVENTS_EXCHANGE, ensure=False)
            for start in range(0, len(said), 50):
                await asyncio.gather(
                    *(events.publish(_as_sent(message), message["name"]) for message in said[start : start + 50])
                )
        for _ in range(REPLAYS):
            await _replay_all(lab)
    trial.note("events that were not published again", float(not said), 0)


def _as_sent(message: Mapping[str, Any]) -> aio_pika.Message:
    return aio_pika.Message(
        message["body"].encode(),
        message_id=str(message["event_id"]),
        type=message["type"],
        correlation_id=str(message["order_id"] or message["event_id"]),
        content_type="application/json",
        delivery_mode=2,
        headers=json.loads(message["headers"]),
    )


async def _replay_all(lab: Lab) -> None:
    """Send every dead letter again, and wait until the run is through; poison comes back."""
    async with httpx2.AsyncClient(base_url=lab.system.control_room, headers=lab.system.operator, timeout=10) as http:
        wanted = {"selection": {"all": True}, "tolerate": 1, "rate": 1_000}
        answer = await http.post("/replays", json=wanted)
        if answer.status_code == 409:
            return
        run = answer.raise_for_status().json()["run_id"]

        async def through() -> bool:
            return (await http.get(f"/replays/{run}")).raise_for_status().json()["state"] != "running"

        await until(through, 60)


def corpus(order_id: UUID, dice: random.Random) -> dict[str, aio_pika.Message]:
    """Messages, each of which breaks the contract in its own way."""
    good = json.dumps({"order_id": str(order_id)}).encode()
    kinds: dict[str, dict[str, Any]] = {
        "empty": {"body": b""},
        "not JSON": {"body": b"{"},
        "no UTF-8": {"body": b"\xff\xfe\x00" + dice.randbytes(20)},
        "not an object": {"body": b"[1, 2]"},
        "NUL": {"body": b'{"order_id": "\\u0000"}'},
        "deep": {"body": b"[" * 100_000},
        "2 MB": {"body": b" " * 2_000_000},
        "unknown type": {"type": "order.exploded.v1"},
        "content type": {"content_type": "text/xml"},
        "content encoding": {"content_encoding": "gzip"},
        "no message id": {"message_id": None},
        "re-drive is no number": {"headers": {"x-redrive": "many"}},
        "attempt is negative": {"headers": {"x-attempt": -1}},
        "replay is no id": {"headers": {"x-replay-id": "?"}},
        "a table of headers": {"headers": {"x-redrive": {"a": [1, {"b": None}]}}},
    }
    made: dict[str, aio_pika.Message] = {}
    for name, changes in kinds.items():
        content = changes.pop("body", good)
        told: dict[str, Any] = {"message_id": str(UUID(int=dice.getrandbits(128), version=4)), **changes}
        made[name] = aio_pika.Message(content, correlation_id=str(order_id), delivery_mode=2, **told)
    return made


async def poison(trial: Trial) -> None:
    """Each message of the corpus, straight into work queues; each is parked within a second."""
    lab = trial.lab
    slowest = 0.0
    queues = list(WORK_QUEUES) if trial.form == "full" else trial.dice.sample(WORK_QUEUES, 4)
    async with await aio_pika.connect(lab.system.wiring.amqp_url) as connection:
        requeue = await (await connection.channel()).get_exchange(REQUEUE, ensure=False)
        with trial.harm():
            for queue in queues:
                slowest = max(slowest, await _poisoned(trial, requeue, queue))
    trial.note("seconds until each of 15 broken messages was in custody", slowest, 1)


async def _poisoned(trial: Trial, requeue: AbstractExchange, queue: str) -> float:
    """Put the whole corpus into a queue; returns the seconds until all of it was in custody."""
    lab, order_id = trial.lab, UUID(int=trial.dice.getrandbits(128), version=4)
    messages, began = corpus(order_id, trial.dice), time.monotonic()
    for message in messages.values():
        await requeue.publish(message, queue)

    async def all_kept() -> bool:
        return await _kept(lab, order_id) == len(messages)

    await until(all_kept)
    lab.expected.parked += [Parked(queue, str(order_id), "Poison")] * len(messages)
    return time.monotonic() - began


async def _kept(lab: Lab, order_id: UUID) -> int:
    question = f"SELECT count(*) AS kept FROM dead_letters WHERE properties ->> 'correlation_id' = '{order_id}'"  # noqa: S608
    return int((await ask(lab.system.wiring.databases[CONTROL_ROOM], question))[0][0]["kept"])


FAULTS = (
    Fault(
        "everything-again",
        21,
        "every event is published three times more, shuffled; everything parked is replayed twice",
        everything_again,
        Goal(5),
        forms=EVERYWHERE,
    ),
    Fault(
        "poison",
        22,
        "15 kinds of broken messages (bytes, types, sizes, headers, ids) in work queues, beside good ones",
        poison,
        Goal(5),
        forms=EVERYWHERE,
    ),
)
