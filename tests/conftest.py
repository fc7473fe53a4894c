"""Real servers for the suite: a private PostgreSQL and a private RabbitMQ, started when a test first needs one.

With `--stack compose` they are containers: RabbitMQ 4 and PostgreSQL 17 beside the composed system.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import pytest
from typing_extensions import override
from xdist.remote import Producer  # pyright: ignore[reportMissingTypeStubs]
from xdist.scheduler import LoadScopeScheduling  # pyright: ignore[reportMissingTypeStubs]
from xdist.workermanage import WorkerController  # pyright: ignore[reportMissingTypeStubs]

from devstack.paths import STACK
from devstack.servers import PostgresServer, RabbitServer
from tests.broker import rabbit
from tests.stack import selection
from tests.stack.system import ComposedStack, composed

TESTS = Path(__file__).parent
TOGETHER = ("e2e", "api", "browser", "retention", "invariants")
"""Folders whose tests share something that takes long to start."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --full: run what takes long, too; and --stack: against containers."""
    parser.addoption("--full", action="store_true", help="also run the tests marked slow")
    parser.addoption("--stack", choices=selection.STACKS, help="run against containers, by Docker Compose")


def pytest_configure(config: pytest.Config) -> None:
    """Fail at once, and say why, where containers are asked for and cannot run."""
    selection.assert_possible(config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells the process that reports what it left out."""
    if isinstance(output := getattr(session.config, "workeroutput", None), dict):
        output["left_out"] = selection.left_out(session.config)


def pytest_testnodedown(node: WorkerController) -> None:
    """What a worker told at its end; one that crashed told nothing."""
    selection.left_out(node.config).update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was not run for want of --stack, or because of it."""
    selection.report(terminalreporter, config)


LONG = ("e2e", "broker", "devstack", "machine", "browser", "compatibility", "docs")
"""Folders whose tests take longest. They are begun first, lest one worker has them all at the end."""


class FilesAndFolders(LoadScopeScheduling):
    """Keeps the tests of a file in one worker, and those of a folder that shares a running system, too."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.split("/")[1]
        return folder if folder in TOGETHER else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesAndFolders:
    """Share the tests out so; `--dist=loadgroup` of pytest-xdist 3.8 does nothing under pytest 9."""
    return FilesAndFolders(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests out, unless --full asks for them or the marker expression names them."""
    items.sort(key=lambda item: _begun(item.path.relative_to(TESTS).parts[0]))
    selection.select(config, items)
    if config.getoption("--full") or "slow" in str(config.getoption("-m")):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.fixture(autouse=True)
def _delete_virtual_hosts() -> Iterator[None]:
    """Those that the test made: each has dozens of quorum queues, which keep a broker busy even when nobody uses them.

    Fixtures of a wider scope are set up ahead of this one, and keep theirs.
    """
    before = len(rabbit.made)
    yield
    while len(rabbit.made) > before:
        with contextlib.suppress(httpx2.TransportError):  # a broker of the test's own has ended already
            httpx2.delete(rabbit.made.pop(), timeout=30)


def _begun(folder: str) -> int:
    return LONG.index(folder) if folder in LONG else len(LONG)


@pytest.fixture(scope="session")
def servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the suite's servers keep their state."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def composed_stack(request: pytest.FixtureRequest) -> Iterator[ComposedStack]:
    """The composed system, built and healthy, for the whole run; asked for with --stack compose alone."""
    logs = STACK / "compose-test.log"
    with composed(logs) as stack:
        yield stack
    if request.session.testsfailed:
        selection.measured(request.config).append(f"what the containers said: {logs}")


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest, servers_folder: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL for the whole suite; nothing in it outlives the run, so nothing waits for its disk."""
    if selection.stack(request.config):
        yield request.getfixturevalue("composed_stack").postgres()
        return
    config = ["fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 300"]
    with PostgresServer(servers_folder / "postgres", config=config, discard=True) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """The superuser's URL, as messaging.testing wants it."""
    return postgres_server.url()


@pytest.fixture(scope="session")
def rabbitmq_server(request: pytest.FixtureRequest, servers_folder: Path) -> Iterator[RabbitServer]:
    """A RabbitMQ for the whole suite."""
    if selection.stack(request.config):
        yield request.getfixturevalue("composed_stack").rabbitmq()
        return
    with RabbitServer(servers_folder / "rabbitmq", discard=True) as server:
        yield server


@pytest.fixture
def own_rabbitmq(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AbstractContextManager[RabbitServer]]:
    """A RabbitMQ that the test may kill: `with own_rabbitmq() as server`."""
    if selection.stack(request.config):
        return request.getfixturevalue("composed_stack").spare_rabbitmq
    return lambda: RabbitServer(tmp_path / "rabbitmq")


@pytest.fixture
def own_postgres(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[], AbstractContextManager[PostgresServer]]:
    """A PostgreSQL that the test may stop: `with own_postgres() as server`."""
    if selection.stack(request.config):
        return request.getfixturevalue("composed_stack").spare_postgres
    return lambda: PostgresServer(tmp_path / "postgres")
