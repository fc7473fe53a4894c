"""The services that are spoken to, as processes of their own, for requests that nobody would think of."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from devstack.servers import PostgresServer, RabbitServer
from devstack.services import SPOKEN_TO
from tests.api.fuzzing import Target
from tests.e2e.system import ENVIRONMENT, System, running

NO_LIMIT = {f"{service.upper()}_RATE_LIMIT": "100000/second" for service in SPOKEN_TO}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(
    rabbitmq_server: RabbitServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[System]:
    """Order API and control room alone, ready; they have no limit of requests. At the end they stop in good order."""
    folder, extra = tmp_path_factory.mktemp("api"), ENVIRONMENT | NO_LIMIT
    async with running(rabbitmq_server, postgres_server, folder, SPOKEN_TO, extra) as made:
        yield made


@pytest.fixture(scope="session")
def order_api(system: System) -> Target:
    """The order API, with an operator's key."""
    return Target(system.api, system.wiring.api_keys["operator"])


@pytest.fixture(scope="session")
def control_room(system: System) -> Target:
    """The control room, with an operator's key."""
    return Target(system.control_room, system.wiring.api_keys["operator"])
