"""One running system for all end-to-end tests. What they expect of it adds up over the session."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

import httpx2
import pytest
import pytest_asyncio

from devstack.servers import PostgresServer, RabbitServer
from devstack.services import SERVICES
from tests.e2e.shop import Shop
from tests.e2e.system import ENVIRONMENT, System, running
from tests.invariants.checker import Checker
from tests.invariants.expectations import Ending, Parked
from tests.stack import selection


@dataclass
class Expected:
    """How every order that a test placed is to end, and what is to be parked."""

    endings: dict[str, Ending] = field(default_factory=dict[str, Ending])
    parked: set[Parked] = field(default_factory=set[Parked])


EXPECTED = pytest.StashKey[Expected]()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(
    request: pytest.FixtureRequest,
    rabbitmq_server: RabbitServer,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[System]:
    """All services on a virtual host and databases of their own, ready; or, with --stack compose, the composed system.

    At the end each stops in good order.
    """
    if selection.stack(request.config):
        yield request.getfixturevalue("composed_stack").system()
        return
    folder = tmp_path_factory.mktemp("e2e")
    async with running(rabbitmq_server, postgres_server, folder, SERVICES, ENVIRONMENT) as made:
        yield made


@pytest.fixture(scope="session")
def expected(request: pytest.FixtureRequest) -> Expected:
    """What all tests together expect; those of tests/stack, which have this fixture, too, see the same orders."""
    return request.config.stash.setdefault(EXPECTED, Expected())


@pytest.fixture(scope="session")
def checker(system: System) -> Checker:
    """The checker of the running system."""
    return Checker(system.wiring.databases, system.wiring.amqp_url, system.management_url)


@pytest.fixture
def all_is_well(checker: Checker, expected: Expected) -> Callable[[], Awaitable[None]]:
    """Wait until nothing moves, and see that no invariant is broken, by this test or by one before it."""

    async def check() -> None:
        await checker.drain()
        assert await checker.violations(expected.endings, expected.parked) == []

    return check


@pytest_asyncio.fixture
async def shop(system: System) -> AsyncGenerator[Shop]:
    """A client of the running system."""
    async with httpx2.AsyncClient(base_url=system.api, timeout=15, headers=system.authorization) as http:
        yield Shop(http)
