"""Real servers for the suite: a private PostgreSQL and a private RabbitMQ, started when a test first needs one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.servers import PostgresServer, RabbitServer


@pytest.fixture(scope="session")
def servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the suite's servers keep their state."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def postgres_server(servers_folder: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL for the whole suite; nothing in it outlives the run, so nothing waits for its disk."""
    config = ["fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 300"]
    with PostgresServer(servers_folder / "postgres", config=config, discard=True) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """The superuser's URL, as messaging.testing wants it."""
    return postgres_server.url()


@pytest.fixture(scope="session")
def rabbitmq_server(servers_folder: Path) -> Iterator[RabbitServer]:
    """A RabbitMQ for the whole suite."""
    with RabbitServer(servers_folder / "rabbitmq", discard=True) as server:
        yield server
