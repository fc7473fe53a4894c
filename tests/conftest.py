"""Real servers for the suite: a private PostgreSQL and a private RabbitMQ, started when a test first needs one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.servers import PostgresServer, RabbitServer


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --full: run what takes long, too."""
    parser.addoption("--full", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests out, unless --full asks for them or the marker expression names them."""
    if config.getoption("--full") or "slow" in str(config.getoption("-m")):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


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
