"""Servers are killed under a trickle of orders, one after another; afterwards every invariant holds.

On servers of their own, so slow: `./run test --full`. What a service does meanwhile: tests/broker/test_outages.py.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from devstack.ports import any_free_port
from devstack.servers import PostgresServer, RabbitServer
from devstack.services import SERVICES, Wiring
from tests.e2e.mix import SEED, mixed
from tests.e2e.shop import Indeterminate, Shop
from tests.e2e.system import ENVIRONMENT, System, ready
from tests.invariants.checker import Checker
from tests.invariants.expectations import Ending

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.private("containers are killed in tests/stack"),
]

COUNT = 120
PACE = 0.05
"""Seconds between two orders."""
DOWN = 2.0
"""Seconds that a server stays away."""
YOUNG_QUEUE = 3.0
"""Seconds after which a quorum queue keeps what it confirmed through a kill of its only node (measured)."""


@dataclass
class Fragile:
    """A running system, each of whose servers can be killed."""

    system: System
    rabbitmq: RabbitServer
    postgres: Mapping[str, PostgresServer]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fragile(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Fragile]:
    """All services, a RabbitMQ and a PostgreSQL for each."""
    folder: Path = tmp_path_factory.mktemp("fragile")
    with ExitStack() as servers:
        rabbitmq = servers.enter_context(RabbitServer(folder / "rabbitmq"))
        postgres = {name: servers.enter_context(PostgresServer(folder / f"postgres-{name}")) for name in SERVICES}
        wiring = Wiring(
            amqp_url=rabbitmq.amqp_url,
            databases={name: server.create_database(name) for name, server in postgres.items()},
            http_ports={name: any_free_port() for name in SERVICES},
            extra=ENVIRONMENT,
        )
        system = System(wiring, rabbitmq.management_url, folder / "logs")
        servers.callback(system.kill)
        await system.prepare()
        await system.start(SERVICES)
        await asyncio.sleep(YOUNG_QUEUE)
        yield Fragile(system, rabbitmq, postgres)


def _kill_rabbitmq(fragile: Fragile) -> tuple[Callable[[], None], Callable[[], None]]:
    return fragile.rabbitmq.kill, fragile.rabbitmq.start


def _stop_postgres(name: str) -> Callable[[Fragile], tuple[Callable[[], None], Callable[[], None]]]:
    return lambda fragile: (fragile.postgres[name].immediate_stop, fragile.postgres[name].start)


FAULTS = {"rabbitmq": _kill_rabbitmq, **{f"database of {name}": _stop_postgres(name) for name in SERVICES}}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_server_is_killed_under_a_trickle_of_orders(fragile: Fragile, fault: str) -> None:
    """Killed and started again amid orders: every accepted order ends as it should, and nothing happens twice."""
    down, up = FAULTS[fault](fragile)
    system = fragile.system
    checker = Checker(system.wiring.databases, system.wiring.amqp_url, system.management_url)
    async with httpx2.AsyncClient(base_url=system.api, timeout=15, headers=system.authorization) as http:
        trickling = asyncio.create_task(_trickle(Shop(http)))
        await asyncio.sleep(COUNT * PACE / 4)
        await asyncio.to_thread(down)
        await asyncio.sleep(DOWN)
        await asyncio.to_thread(up)
        endings = await trickling
    for process in system.running:
        await ready(process, system.wiring.http_ports[process.name])
    await checker.drain()
    assert await checker.violations(endings) == []
    assert len(endings) >= COUNT / 3


async def _trickle(shop: Shop) -> dict[str, Ending]:
    """Place orders at a steady pace, whatever happens; returns those that were accepted and how they are to end."""
    accepted: dict[str, Ending] = {}

    async def place(number: int) -> None:
        wanted = wishes[number]
        try:
            order_id = await shop.place(wanted)
        except (Indeterminate, httpx2.TransportError):  # what is stored must end all the same
            return
        accepted[order_id] = wanted.ending

    # An order whose answer was lost cannot be told how to end: none may end overdue, which alone must be expected.
    wishes = [wanted for wanted in mixed(2 * COUNT, SEED) if wanted.ending is not Ending.OVERDUE][:COUNT]
    async with asyncio.TaskGroup() as customers:
        for number in range(COUNT):
            customers.create_task(place(number))
            await asyncio.sleep(PACE)
    return accepted
