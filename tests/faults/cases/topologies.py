"""Exchanges, bindings and queues that somebody deleted."""

import asyncio
import os
import sys
import time

import aio_pika
import httpx2

from devstack.paths import CHECKOUT
from tests.broker.rabbit import until
from tests.faults.fault import Fault, Goal, Trial, restarted
from tests.faults.lab import Lab
from tests.invariants.books import ask
from tests.invariants.design import CONTROL_ROOM, EVENTS_EXCHANGE, UNROUTED
from tests.invariants.queues import Broker

QUEUE, EVENT = "payment.order.created", "order.created"
NAMED_SECONDS = 30
PATIENCE = {"ORDER_API_FIRST_DEADLINE": "10", "ORDER_API_DEADLINE_INTERVAL": "1", "ORDER_API_LONGEST_DEADLINE": "10"}
_IN_CUSTODY = f"SELECT count(*) AS kept FROM dead_letters WHERE queue = '{UNROUTED}' AND state <> 'done'"  # noqa: S608


async def binding_deleted(trial: Trial) -> None:
    """The binding of a work queue is deleted: its events are kept as unrouted, and replayed after the repair."""
    lab = trial.lab
    with trial.harm():
        async with await aio_pika.connect(lab.system.wiring.amqp_url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(QUEUE, ensure=False)
            await queue.unbind(await channel.get_exchange(EVENTS_EXCHANGE, ensure=False), EVENT)
        await _named(trial, EVENT)
        await until(lambda: _kept(lab), 30)
        await _apply(lab)
        await until(lambda: _replayed(lab), 60)


async def exchange_deleted(trial: Trial) -> None:
    """The exchange of all events is deleted: they wait in the outboxes until it is there again."""
    lab = trial.lab
    with trial.harm():
        async with await aio_pika.connect(lab.system.wiring.amqp_url) as connection:
            await (await connection.channel()).exchange_delete(EVENTS_EXCHANGE)
        await _named(trial, EVENTS_EXCHANGE)
        await trial.accepted(int(trial.pace.rate))
        await _apply(lab)


async def broker_wiped(trial: Trial) -> None:
    """Every queue is deleted with all that is in it, and the topology applied again: orders are said again."""
    lab = trial.lab
    with trial.harm():
        broker = Broker(lab.system.wiring.amqp_url, lab.system.management_url)
        async with await aio_pika.connect(lab.system.wiring.amqp_url) as connection:
            channel = await connection.channel()
            for queue in await broker.statistics():
                await channel.queue_delete(queue["name"])
        await _apply(lab)


async def _named(trial: Trial, what: str) -> None:
    """`verify` names what is missing."""
    began = time.monotonic()

    async def told() -> bool:
        return what in (await _job(trial.lab, "verify"))[1]

    await until(told, NAMED_SECONDS)
    trial.note("seconds until it was named", time.monotonic() - began, NAMED_SECONDS)


async def _apply(lab: Lab) -> None:
    status, told = await _job(lab, "topology", "apply")
    assert status == 0, told


async def _kept(lab: Lab) -> bool:
    """Whether there is an unrouted event in custody."""
    return bool((await ask(lab.system.wiring.databases[CONTROL_ROOM], _IN_CUSTODY))[0][0]["kept"])


async def _replayed(lab: Lab) -> bool:
    """Whether none is left; else all that are open are replayed."""
    await asyncio.sleep(1)  # what the broker has not handed over yet
    if not await _kept(lab):
        return True
    wanted = {"selection": {"queue": UNROUTED}, "tolerate": 1, "rate": 1_000}
    async with httpx2.AsyncClient(base_url=lab.system.control_room, headers=lab.system.operator, timeout=10) as http:
        await http.post("/replays", json=wanted)
    return False


async def _job(lab: Lab, *job: str) -> tuple[int, str]:
    """Run a job of `messaging`; returns its status and what it said."""
    wiring = lab.system.wiring
    servers = {"AMQP_URL": wiring.amqp_url, "RABBITMQ_MANAGEMENT_URL": lab.system.management_url, "COLUMNS": "200"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "messaging",
        *job,
        cwd=CHECKOUT,
        env={**os.environ, **wiring.extra, **servers},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


FAULTS = (
    Fault("binding-deleted", 15, "the binding of a work queue is deleted, and restored", binding_deleted, Goal(10)),
    Fault(
        "exchange-deleted",
        15,
        "the exchange of all events is deleted, and restored",
        exchange_deleted,
        Goal(10),
        forms=frozenset({"short", "full"}),
    ),
    Fault(
        "broker-wiped",
        31,
        "every queue is deleted with all messages, and declared again",
        broker_wiped,
        Goal(60, "backlog"),
        around=restarted("order_api", **PATIENCE),
        spoils=True,
    ),
)
