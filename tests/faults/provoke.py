"""What makes a process pass the crash points that an ordinary order does not come by."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aio_pika
import asyncpg
import httpx2
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import AMQPError

from devstack.services import API, CONTROL_ROOM
from messaging.edge import Step
from tests.broker.rabbit import until
from tests.faults.fault import Trial
from tests.faults.lab import Lab
from tests.faults.points import Kill
from tests.invariants.books import ask
from tests.invariants.design import WORK_QUEUES
from tests.invariants.expectations import Parked

REQUEUE, DEAD = "orders.requeue", "orders.dead"
BEAT = 0.3
"""Seconds between two attempts to provoke."""
_STUMBLE = """
    CREATE OR REPLACE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF extract(milliseconds FROM clock_timestamp())::int % 1000 < 300 THEN RAISE EXCEPTION 'it stumbles'; END IF;
        RETURN NEW;
    END $$;
    CREATE OR REPLACE TRIGGER stumble BEFORE INSERT ON inbox FOR EACH ROW
        WHEN (strpos(NEW.queue, '.') > 0) EXECUTE FUNCTION stumble();
"""
"""In the first 0.3 s of every second each message fails, alone as in a group: that is over before its tiers are."""
_STEADY = "DROP TRIGGER IF EXISTS stumble ON inbox; DROP FUNCTION IF EXISTS stumble"
_BUG = "Bug"
_INNOCENT = (_BUG, "KillsItsProcess")
"""Error classes of messages that were parked although nothing is wrong with them: by us, and because their process was
killed each time that it handled them, as happens to a bystander of so many kills. An operator sends them again."""
_LEFT = f"SELECT count(*) AS left FROM dead_letters WHERE error_class IN {_INNOCENT} AND state <> 'done'"  # noqa: S608
_HEARD: Mapping[str, tuple[str, str]] = {
    API: ("payment.authorized", "payment"),
    "payment": ("order.created", API),
    "inventory": ("payment.authorized", "payment"),
    "shipping": ("inventory.reserved", "inventory"),
    CONTROL_ROOM: ("replay.handled", "payment"),
}
"""An event that a service hears, and who says it."""
_KNOWN = """
    SELECT event_id, name, type, order_id, body FROM outbox
    WHERE name = '{}' AND sent_at IS NOT NULL ORDER BY id DESC LIMIT 1
"""


@asynccontextmanager
async def provoking(trial: Trial, kill: Kill) -> AsyncGenerator[None]:
    """For as long as the block takes, see to it that the process comes by that point."""
    works = [_PROVOKED[kill.step]] if kill.step in _PROVOKED else []
    if kill.process == CONTROL_ROOM and kill.step not in {Step.PRUNE_COMMIT, Step.RELAY_COMMIT}:
        works.append(_replay)
    running = [asyncio.create_task(_again_and_again(trial, kill, work)) for work in works]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if kill.step is Step.RETRY_PUBLISH:
            await _execute(trial.lab, kill.process, _STEADY)


async def nothing_left_to_replay(lab: Lab) -> None:
    """Replay what was parked without a reason until none of it is left."""

    async def none_left() -> bool:
        if not (await ask(lab.system.wiring.databases[CONTROL_ROOM], _LEFT))[0][0]["left"]:
            return True
        for error in _INNOCENT:
            await _start_a_replay(lab, error)
        await asyncio.sleep(BEAT)
        return False

    await until(none_left, 60)


async def _again_and_again(trial: Trial, kill: Kill, work: Callable[[Trial, Kill], Awaitable[None]]) -> None:
    while True:
        with contextlib.suppress(AMQPError, OSError, httpx2.TransportError, asyncpg.PostgresError):
            await work(trial, kill)  # whom it speaks to may be dead by now
        await asyncio.sleep(BEAT)


async def _poison(trial: Trial, kill: Kill) -> None:
    """Put a broken message into one of the process's queues."""
    queue = trial.dice.choice(_queues(kill.process))
    message_id, order_id = (str(UUID(int=trial.dice.getrandbits(128), version=4)) for _ in range(2))
    message = aio_pika.Message(b"{", message_id=message_id, correlation_id=order_id, delivery_mode=2)
    parked, expected = Parked(queue, order_id, "Poison"), trial.lab.expected
    async with _channel(trial.lab) as channel:
        expected.uncertain.add(parked)  # whoever is killed meanwhile, this is not asked for any more
        await (await channel.get_exchange(REQUEUE, ensure=False)).publish(message, queue)
        expected.uncertain.discard(parked)
        expected.parked.append(parked)


async def prepared(trial: Trial, kill: Kill) -> None:
    """What must be done before the process starts: a suspect waits in its queue."""
    if kill.step is Step.SUSPECT_COMMIT:
        with contextlib.suppress(AssertionError):  # nothing was said to it yet: the point counts as not passed
            await until(lambda: _left_a_suspect(trial.lab, kill.process), 20)


async def _left_a_suspect(lab: Lab, service: str) -> bool:
    """Take a message out of a queue that nobody consumes and give it back: from then on it is marked as redelivered."""
    with contextlib.suppress(AMQPError, OSError, asyncpg.PostgresError):  # the last kill's servers may be starting
        return await _returned(lab, service)
    return False


async def _returned(lab: Lab, service: str) -> bool:
    name, producer = _HEARD[service]
    message = await _copy(lab, name, producer, {})
    if message is None:
        return False
    queue = f"{service}.{name}"
    async with _channel(lab) as channel:
        await (await channel.get_exchange(REQUEUE, ensure=False)).publish(message, queue)
        waiting = await (await channel.get_queue(queue, ensure=False)).get(fail=False)
        if waiting is not None:
            await waiting.nack(requeue=True)
        return waiting is not None


async def _stumble(trial: Trial, kill: Kill) -> None:
    """Let its database refuse for a moment what no rule refuses."""
    await _execute(trial.lab, kill.process, _STUMBLE)


async def _stop_its_database(trial: Trial, kill: Kill) -> None:
    """Take its database away for longer than an impatient process waits, while it is at work."""
    ready = f"http://127.0.0.1:{trial.lab.system.wiring.http_ports[kill.process]}/readyz"
    async with httpx2.AsyncClient(timeout=5) as http:
        if not (await http.get(ready)).is_success:
            return  # one that has yet to start needs its database
    if kill.process == CONTROL_ROOM:
        await _poison(trial, kill)
    await trial.accepted(1)
    server = trial.lab.postgres[kill.process]
    repeating = asyncio.create_task(_repeat(trial.lab, kill.process))  # whoever notices first, a message is there
    try:
        await asyncio.to_thread(server.immediate_stop)
        await asyncio.sleep(4)
    finally:
        repeating.cancel()
        await asyncio.shield(asyncio.to_thread(server.start))
        await asyncio.gather(repeating, return_exceptions=True)


async def _repeat(lab: Lab, service: str) -> None:
    """Say the last event that the service heard again and again, for a second."""
    name, producer = _HEARD[service]
    message = await _copy(lab, name, producer, {})
    if message is None:
        return
    async with _channel(lab) as channel:
        exchange = await channel.get_exchange(REQUEUE, ensure=False)
        for _ in range(100):
            await exchange.publish(message, f"{service}.{name}")
            await asyncio.sleep(0.01)


async def _replay(trial: Trial, _: Kill) -> None:
    """Park a message that was handled long ago, of payment or of the control room itself, and have it replayed."""
    name, producer = trial.dice.choice((("order.created", API), ("replay.handled", "payment")))
    headers = {"x-error-class": _BUG, "x-error-reason": "a deploy helps", "x-last-failure": _now()}
    message = await _copy(trial.lab, name, producer, headers)
    if message is not None:
        consumer = "payment" if producer == API else CONTROL_ROOM
        async with _channel(trial.lab) as channel:
            await (await channel.get_exchange(DEAD, ensure=False)).publish(message, f"{consumer}.{name}")
        await asyncio.sleep(BEAT)
    await _start_a_replay(trial.lab, _BUG)


async def _copy(lab: Lab, name: str, producer: str, headers: Mapping[str, Any]) -> aio_pika.Message | None:
    """The last event of that name, as it was published; None if none was."""
    found = (await ask(lab.system.wiring.databases[producer], _KNOWN.format(name)))[0]
    if not found:
        return None
    return aio_pika.Message(
        found[0]["body"].encode(),
        message_id=str(found[0]["event_id"]),
        type=found[0]["type"],
        correlation_id=str(found[0]["order_id"] or found[0]["event_id"]),
        content_type="application/json",
        delivery_mode=2,
        headers=dict(headers),
    )


async def _start_a_replay(lab: Lab, error: str) -> None:
    wanted = {"selection": {"error": error}, "tolerate": 1, "rate": 1_000}
    async with httpx2.AsyncClient(base_url=lab.system.control_room, headers=lab.system.operator, timeout=5) as http:
        await http.post("/replays", json=wanted)


@asynccontextmanager
async def _channel(lab: Lab) -> AsyncGenerator[AbstractChannel]:
    async with await aio_pika.connect(lab.system.wiring.amqp_url, timeout=5) as connection:
        yield await connection.channel()


async def _execute(lab: Lab, service: str, statement: str) -> None:
    connection: Any = await asyncpg.connect(lab.system.wiring.databases[service], timeout=5)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _queues(service: str) -> list[str]:
    return [name for name in WORK_QUEUES if name.startswith(f"{service}.")]


def _now() -> str:
    return datetime.now(UTC).isoformat()


_PROVOKED: Mapping[Step, Callable[[Trial, Kill], Awaitable[None]]] = {
    Step.DEAD_PUBLISH: _poison,
    Step.RETRY_PUBLISH: _stumble,
    Step.MESSAGE_REQUEUE: _stop_its_database,
}
"""All other steps are passed by orders, or by replays."""
