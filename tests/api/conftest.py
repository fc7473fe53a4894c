"""The order API as a process of its own, for requests that nobody would think of."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from devstack.servers import PostgresServer, RabbitServer
from devstack.services import API
from tests.e2e.system import ENVIRONMENT, System, running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(
    rabbitmq_server: RabbitServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[System]:
    """The order API alone, ready; it has no limit of requests. At the end it stops in good order."""
    folder, extra = tmp_path_factory.mktemp("api"), {**ENVIRONMENT, "ORDER_API_RATE_LIMIT": "100000/second"}
    async with running(rabbitmq_server, postgres_server, folder, [API], extra) as made:
        yield made
