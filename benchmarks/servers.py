"""The servers that all contenders share: one private RabbitMQ, one private PostgreSQL, both keeping what they confirm.

Each turn gets databases that are fresh clones of what the contender prepared, and an empty virtual host.
"""

import urllib.parse
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
import httpx2

from benchmarks.contender import Contender, Servers
from devstack.process import Process
from devstack.servers.postgres import PostgresServer
from devstack.servers.rabbitmq import USER, RabbitServer
from devstack.threads import run_apart

POSTGRES = (
    "track_commit_timestamp = on",  # when an order was finished, for everybody
    "shared_buffers = 512MB",
    "max_wal_size = 4GB",  # no checkpoint cuts a turn short
)
"""Beyond the defaults: fsync and synchronous_commit are on."""


class BenchServers:
    """Both servers, with their data in a folder that goes with them."""

    def __init__(self, state: Path) -> None:
        self._postgres = PostgresServer(state / "postgresql", config=POSTGRES, discard=True)
        self._rabbit = RabbitServer(state / "rabbitmq", discard=True)
        self._ending = ExitStack()
        self._prepared: dict[object, Mapping[str, str]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as ending:
            self._rabbit.launch()
            ending.callback(self._rabbit.stop)
            self._postgres.start()
            ending.callback(self._postgres.stop)
            self._rabbit.wait_ready()
            self._ending = ending.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    @property
    def processes(self) -> list[Process]:
        """RabbitMQ's node, its epmd, and PostgreSQL."""
        return [*self._rabbit.processes, self._postgres.process]

    @property
    def data(self) -> tuple[Path, Path]:
        """Where RabbitMQ and PostgreSQL keep theirs."""
        return self._rabbit.folder / "data", self._postgres.folder / "data"

    def prepare(self, contender: Contender) -> Mapping[str, str]:
        """Make the databases that this contender's turns are cloned from, once; returns their URLs.

        Contenders that are prepared by the same function share them, unless they keep theirs.
        """
        how = contender.name if contender.keeps_databases else contender.prepare_databases
        if how not in self._prepared:
            names = {name: f"{contender.name}_{name}_prepared" for name in contender.databases}
            urls = {name: self._postgres.create_database(database) for name, database in names.items()}
            contender.prepare_databases(urls)
            self._prepared[how] = urls
        return self._prepared[how]

    @contextmanager
    def turn(self, contender: Contender) -> Generator[Servers]:
        """Databases as they were prepared, and an empty virtual host, for the length of the block."""
        prepared = self.prepare(contender)
        clones = {} if contender.keeps_databases else {name: f"{contender.name}_{name}" for name in contender.databases}
        for name, database in clones.items():
            self._postgres.drop_database(database)
            self._postgres.create_database(database, template=_name(prepared[name]))
        urls = {**prepared, **{name: self._postgres.url(database) for name, database in clones.items()}}
        host = contender.name
        self._manage("PUT", f"vhosts/{host}")
        self._manage("PUT", f"permissions/{host}/{USER}", {"configure": ".*", "write": ".*", "read": ".*"})
        try:
            amqp_url = f"{self._rabbit.amqp_url}{host}"
            contender.prepare_broker(amqp_url)
            self.checkpoint()
            yield Servers(amqp_url, urls, self._rabbit.management_url)
        finally:
            self._manage("DELETE", f"vhosts/{host}")
            for database in clones.values():
                self._postgres.drop_database(database)

    def checkpoint(self) -> None:
        """Have PostgreSQL write down all that it holds in memory, so that no turn pays for the one before it."""
        _execute(self._postgres.url(), "CHECKPOINT")

    def kill_broker(self) -> None:
        """SIGKILL RabbitMQ; what it had confirmed is there at its next start."""
        self._rabbit.discard = False
        self._rabbit.kill()

    def start_broker(self) -> None:
        """Start RabbitMQ again, and return once it takes connections."""
        self._rabbit.start()
        self._rabbit.discard = True

    def depths(self, contender: Contender) -> Mapping[str, int]:
        """How many messages lie in each of its queues that is not empty; a second old."""
        queues = self._manage("GET", f"queues/{contender.name}?columns=name,messages").json()
        return {queue["name"]: queue["messages"] for queue in queues if queue.get("messages")}

    def _manage(self, method: str, path: str, body: object = None) -> httpx2.Response:
        url = urllib.parse.urljoin(f"{self._rabbit.management_url}/api/", path)
        return httpx2.request(method, url, json=body, timeout=60).raise_for_status()


def _name(url: str) -> str:
    return urllib.parse.urlsplit(url).path.lstrip("/")


def _execute(url: str, statement: str) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(url, timeout=60)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    run_apart(work)
