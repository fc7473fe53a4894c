"""The order API as a process of its own, for requests that nobody would think of."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from devstack.ports import any_free_port
from devstack.servers import PostgresServer, RabbitServer
from devstack.services import API, SERVICES, Wiring
from tests.broker.rabbit import virtual_host
from tests.e2e.system import ENVIRONMENT, System


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(
    rabbitmq_server: RabbitServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[System]:
    """The order API alone, ready; it has no limit of requests. At the end it stops in good order."""
    wiring = Wiring(
        amqp_url=await virtual_host(rabbitmq_server),
        databases={service: postgres_server.create_database(f"api_{service}") for service in SERVICES},
        http_ports={service: any_free_port() for service in SERVICES},
        extra={**ENVIRONMENT, "ORDER_API_RATE_LIMIT": "100000/second"},
    )
    made = System(wiring, rabbitmq_server.management_url, tmp_path_factory.mktemp("api") / "logs")
    try:
        await made.prepare()
        await made.start([API])
        yield made
        made.stop()
    finally:
        made.kill()
