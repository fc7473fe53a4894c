"""The composed system, as tests/e2e knows a running system."""

import asyncio
import os
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

from typing_extensions import override

from devstack.errors import StackError
from devstack.paths import CHECKOUT
from devstack.ports import any_free_port, is_free
from devstack.process import Process
from devstack.services import API, CONTROL_ROOM, HOST, SERVICES, Wiring
from tests.e2e.system import System
from tests.stack.docker import Container, Project
from tests.stack.servers import PostgresContainer, RabbitContainer

FILES = (CHECKOUT / "compose.yml", CHECKOUT / "tests" / "stack" / "compose.yml")
REPLICAS = 3
"""At most: so many ports are published for a service that is spoken to."""


class Composed(System):
    """All services in containers."""

    def __init__(self, project: Project, wiring: Wiring, operator: str) -> None:
        super().__init__(wiring, wiring.management_url or "", Path())
        self.project = project
        self._operator = operator
        self.running = [self._process(container) for each in SERVICES for container in project.containers(each)]

    @property
    def apis(self) -> list[str]:
        """Where the order API's replicas may answer."""
        first = self.wiring.http_ports[API]
        return [f"http://{HOST}:{port}" for port in range(first, first + REPLICAS)]

    @property
    @override
    def operator(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._operator}"}

    @override
    async def start(self, names: Sequence[str], replica: str = "") -> list[Process]:
        """Start another replica of these services; return once each says that it is ready."""
        before = {each.id for name in names for each in self.project.containers(name)}
        await self.scale({name: 1 + len(self.project.containers(name)) for name in names})
        new = [each for name in names for each in self.project.containers(name) if each.id not in before]
        started = [self._process(container) for container in new]
        self.running += started
        return started

    async def scale(self, replicas: Mapping[str, int]) -> None:
        """Have so many containers of these services; return once all are healthy."""
        scales = [f"--scale={name}={count}" for name, count in replicas.items()]
        await asyncio.to_thread(self.project.up, "--no-deps", "--no-recreate", *scales, *replicas)

    @override
    async def restart(self, process: Process) -> None:
        process.launch()
        await asyncio.to_thread(cast("Container", process).wait_healthy)

    @override
    def stop(self, processes: Sequence[Process] | None = None) -> Mapping[str, int]:
        ending = list(self.running if processes is None else processes)
        statuses = super().stop(ending)
        for process in ending:
            cast("Container", process).remove()
        return statuses

    @staticmethod
    def _process(container: Container) -> Process:
        """A container answers to all that is asked of a process here."""
        return cast("Process", container)


class ComposedStack:
    """The composed project of a run of the suite, and its servers."""

    def __init__(self, name: str) -> None:
        self._password = secrets.token_hex(16)
        self.ports = {
            **{f"{service.upper()}_DB_PORT": str(any_free_port()) for service in SERVICES},
            **{name: str(any_free_port()) for name in ("AMQP_PORT", "RABBITMQ_MANAGEMENT_PORT", "SUITE_DB_PORT")},
            **{name: str(any_free_port()) for name in ("SPARE_DB_PORT", "SPARE_AMQP_PORT", "SPARE_MANAGEMENT_PORT")},
            **{name: str(any_free_port()) for name in ("LOCUST_PORT", "CLOUDWATCH_PORT")},
            "API_PORT": free_range(),
            "CONTROL_ROOM_PORT": free_range(),
        }
        self.project = Project(name, FILES, {"VIEWERS": "no", "TEST_PASSWORD": self._password, **self.ports})

    def port(self, variable: str) -> int:
        """The port that a variable names; the first of a range."""
        return int(self.ports[variable].partition("-")[0])

    def rabbitmq(self) -> RabbitContainer:
        """The broker of the composed system."""
        return RabbitContainer(
            self.project.container("rabbitmq"),
            port=self.port("AMQP_PORT"),
            management_port=self.port("RABBITMQ_MANAGEMENT_PORT"),
            user=f"administrator:{self._secret('rabbitmq', 'amqp_password')}",
        )

    def postgres(self) -> PostgresContainer:
        """A server for tests that make databases of their own."""
        container = self.project.container("suite_db")
        return PostgresContainer(container, port=self.port("SUITE_DB_PORT"), user=f"postgres:{self._password}")

    @contextmanager
    def spare_rabbitmq(self) -> Generator[RabbitContainer]:
        """A broker that a test may kill; gone afterwards."""
        with self._spare("spare_rabbitmq") as container:
            yield RabbitContainer(
                container,
                port=self.port("SPARE_AMQP_PORT"),
                management_port=self.port("SPARE_MANAGEMENT_PORT"),
                user=f"orders:{self._password}",
            )

    @contextmanager
    def spare_postgres(self) -> Generator[PostgresContainer]:
        """A PostgreSQL that a test may stop; gone afterwards."""
        with self._spare("spare_db") as container:
            yield PostgresContainer(container, port=self.port("SPARE_DB_PORT"), user=f"postgres:{self._password}")

    def system(self) -> Composed:
        """The composed system, with keys of its own."""
        rabbitmq = self.rabbitmq()
        operator = self._key(CONTROL_ROOM, "operations")
        wiring = Wiring(
            amqp_url=rabbitmq.amqp_url,
            databases={each: self._database(each) for each in SERVICES},
            http_ports={API: self.port("API_PORT"), CONTROL_ROOM: self.port("CONTROL_ROOM_PORT")},
            extra={},
            api_keys={"client": self._key(API), "operator": self._key(API, "operations")},
            management_url=rabbitmq.management_url,
        )
        return Composed(self.project, wiring, operator)

    def _database(self, service: str) -> str:
        """A service's database, as its owner."""
        password = self._secret(f"{service}_db", "database_password")
        port = self.port(f"{service.upper()}_DB_PORT")
        return f"postgresql://{service}_owner:{password}@{HOST}:{port}/{service}"

    def _secret(self, holder: str, name: str) -> str:
        return self.project.compose("exec", "--no-TTY", holder, "cat", f"/run/secrets/{name}").strip()

    def _key(self, service: str, *scopes: str) -> str:
        options = [part for scope in scopes for part in ("--scope", scope)]
        command = ["python", "-m", service, "keys", "create", "--client", "tests", *options]
        return self.project.compose("exec", "--no-TTY", service, *command).strip()

    @contextmanager
    def _spare(self, service: str) -> Generator[Container]:
        with ExitStack() as stack:
            stack.callback(self.project.compose, "rm", "--stop", "--force", "--volumes", service)
            self.project.up(service)
            yield self.project.container(service)


@contextmanager
def composed(logs: Path) -> Generator[ComposedStack]:
    """Build and start it; at the end keep what its containers wrote, and delete it."""
    stack = ComposedStack(f"orders-test-{os.getpid()}")
    with ExitStack() as ending:
        ending.callback(stack.project.down)
        ending.callback(_keep_logs, stack.project, logs)
        stack.project.up("--build")
        yield stack


def _keep_logs(project: Project, file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(project.compose("logs", "--no-color", "--timestamps"))


def free_range() -> str:
    """A range of ports that are free, one for each replica."""
    for _ in range(100):
        first = any_free_port()
        if all(is_free(first + more) for more in range(1, REPLICAS)):
            return f"{first}-{first + REPLICAS - 1}"
    raise StackError("no free range of ports on 127.0.0.1")
