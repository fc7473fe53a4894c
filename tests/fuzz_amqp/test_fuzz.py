"""Messages that nobody would think of, to every work queue: each is parked once, and nobody else notices."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aio_pika
import httpx2
import pytest
import pytest_asyncio
from aio_pika.exceptions import AMQPError

from devstack.servers import PostgresServer, RabbitServer
from devstack.services import API, CONTROL_ROOM, SERVICES
from messaging.topology import REQUEUE
from tests.broker.rabbit import until
from tests.e2e.shop import Shop, wish
from tests.e2e.system import ENVIRONMENT, System, running
from tests.fuzz_amqp.messages import CARD, MEBIBYTE, Odd, odd
from tests.fuzz_amqp.wire import Raw
from tests.invariants.books import ask
from tests.invariants.checker import Checker
from tests.invariants.design import TOKEN_COLUMNS, WORK_QUEUES
from tests.invariants.disclosure import Places, Secret, disclosed
from tests.invariants.expectations import Ending

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400), pytest.mark.private("it reads its services' memory")]

SEED = int(os.environ.get("FUZZ_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
"""Printed when a test fails; FUZZ_SEED replays a run."""
SOME, MANY = 150, 3_000
"""Messages."""
NEIGHBOURS = 10
"""Orders that are placed meanwhile."""
LARGEST = 20 * MEBIBYTE
MOST_GROWN = 200 * MEBIBYTE
"""Bytes by which the memory of a service may have grown."""

PLANTED = Secret("the card's number", CARD, TOKEN_COLUMNS | {"operations.dead_letters.properties"})
"""In bodies, and as a correlation id; a dead letter keeps both as they came, and shows neither."""

_PARKED = """
    SELECT queue, coalesce(raw, convert_to(body, 'UTF8')) AS content, error_class, reason,
           (SELECT count(*) FROM failures WHERE dead_letter_id = dead_letters.id) AS times
    FROM dead_letters
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    rabbitmq_server: RabbitServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[System]:
    """All services, ready."""
    folder: Path = tmp_path_factory.mktemp("fuzz")
    extra = ENVIRONMENT | {f"{name.upper()}_RATE_LIMIT": "100000/second" for name in (API, CONTROL_ROOM)}
    async with running(rabbitmq_server, postgres_server, folder, SERVICES, extra) as made:
        yield made


async def test_what_nobody_can_handle_is_parked_once(system: System) -> None:
    """Bodies, headers and properties of every kind: no process ends, no consumer goes, each message has its reason."""
    await fuzz(system, SEED, SOME, large=0)


@pytest.mark.slow
async def test_much_of_it_and_large(system: System) -> None:
    """Thousands of them, up to 20 MB each: memory stays bounded."""
    await fuzz(system, SEED + 1, MANY, large=LARGEST)


async def fuzz(system: System, seed: int, count: int, *, large: int) -> None:
    """Send so many, with orders beside, and compare what is parked with what was sent."""
    print(f"FUZZ_SEED={seed}")  # noqa: T201 - shown when the test fails
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    wiring = system.wiring
    checker = Checker(wiring.databases, wiring.amqp_url, system.management_url)
    before = {process.name: (process.pid, _memory(process.pid)) for process in system.running}
    messages = [odd(dice, dice.choice(WORK_QUEUES), largest=large) for _ in range(count)]
    known = await _parked(wiring.databases[CONTROL_ROOM])
    sending = asyncio.create_task(send(wiring.amqp_url, messages))
    endings = await _neighbours(system)
    sent = await sending

    async def all_parked() -> bool:
        return len(await _parked(wiring.databases[CONTROL_ROOM])) - len(known) >= len(sent)

    with suppress(AssertionError):  # the comparison below says which are missing
        await until(all_parked, 20 + count / 20)
    await checker.drain()

    assert {process.name: (process.pid, process.running) for process in system.running} == {
        name: (pid, True) for name, (pid, _) in before.items()
    }
    parked = {(row["queue"], bytes(row["content"])): row for row in await _parked(wiring.databases[CONTROL_ROOM])}
    missing = [str(message) for message in sent if (message.queue, message.body) not in parked]
    assert missing == []
    rows = [parked[message.queue, message.body] for message in sent]
    handed_back = [row for message, row in zip(sent, rows, strict=True) if message.exchange == REQUEUE]
    assert [row for row in handed_back if row["error_class"] != "Poison" or not row["reason"]] == []
    assert Counter(row["times"] for row in rows) == {1: len(sent)}
    found = [each for each in await checker.violations(endings) if "a message is parked from" not in each.message]
    assert found == []
    assert len(sent) >= 0.9 * count, "nearly all of it is what a broker takes"
    grown = {process.name: _memory(process.pid) - before[process.name][1] for process in system.running}
    assert {name: size for name, size in grown.items() if size > MOST_GROWN} == {}
    places = Places(wiring.databases, system.folder, wiring.addresses, system.control_room, system.operator)
    assert await disclosed(places, PLANTED) == []


async def send(url: str, messages: Sequence[Odd]) -> list[Odd]:
    """Publish them one after another; returns those that the broker took. It ends the channel over others."""
    sent: list[Odd] = []
    waiting = list(reversed(messages))
    while waiting:
        async with await aio_pika.connect(url) as connection:
            channel: Any = await (await connection.channel()).get_underlay_channel()
            with suppress(AMQPError, ConnectionError):
                while waiting:
                    message = waiting.pop()
                    await channel.basic_publish(
                        message.body,
                        exchange=message.exchange,
                        routing_key=message.queue,
                        properties=Raw(message.properties),
                    )
                    sent.append(message)
    return sent


async def _neighbours(system: System) -> dict[str, Ending]:
    """Place orders; returns how they are to end."""
    async with httpx2.AsyncClient(base_url=system.api, timeout=15, headers=system.authorization) as http:
        shop = Shop(http)
        return {await shop.place(wish(Ending.READY)): Ending.READY for _ in range(NEIGHBOURS)}


async def _parked(url: str) -> Sequence[Mapping[str, Any]]:
    return (await ask(url, _PARKED))[0]


def _memory(pid: int) -> int:
    """Bytes of a process's memory that are resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
