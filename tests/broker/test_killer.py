"""A message that kills its process is parked alone, while its neighbours finish."""

import asyncio
import os
import signal
import sys

from messaging.database import Database
from tests.broker.probe import order, orders
from tests.broker.rabbit import Broker, until
from tests.broker.test_unit_of_work import counted

NEIGHBOURS = 500
KILLER = order(250)
QUEUE = "probe.order.created"

PROGRAM = """
import asyncio, os, signal, sys
sys.path.insert(0, os.getcwd())
from faststream.rabbit import RabbitBroker
from messaging.settings import ServiceSettings
from tests.broker.probe import Probe
from pydantic import SecretStr

async def main():
    probe = Probe()
    killer = sys.argv[1]
    async def before(event):
        if str(event.order_id) == killer:
            os.kill(os.getpid(), signal.SIGKILL)
    probe.before = before
    service = probe.build(ServiceSettings(
        amqp_url=SecretStr(os.environ["AMQP"]), database_url=SecretStr(os.environ["DATABASE"]), retry_tiers="50ms"))
    async with service.lifespan():
        await asyncio.Event().wait()

asyncio.run(main())
"""
"""The probe's service in a process of its own; one order's remote call kills it."""


async def test_a_killer_is_parked_alone(broker: Broker, probe_database: Database) -> None:
    """A message that kills its process each time is parked after four deaths, two of them alone."""
    events = orders(NEIGHBOURS)
    await broker.publish(*events)
    deaths = 0
    environment = {**os.environ, "AMQP": broker.url, "DATABASE": probe_database.url}

    async def finished() -> bool:
        return (await counted(probe_database))[0] == NEIGHBOURS - 1 and await broker.depth(f"{QUEUE}.dlq") == 1

    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, str(KILLER.order_id), env=environment
        )
        ended, done = asyncio.create_task(process.wait()), asyncio.create_task(until(finished, 60))
        await asyncio.wait({ended, done}, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            break
        assert ended.result() == -signal.SIGKILL
        done.cancel()
        deaths += 1
    process.terminate()
    await process.wait()
    assert deaths == 4
    parked = await broker.take(f"{QUEUE}.dlq")
    assert parked.message_id == str(KILLER.event_id)
    assert parked.headers["x-error-class"] == "KillsItsProcess"
    assert await counted(probe_database) == (NEIGHBOURS - 1, NEIGHBOURS - 1)
