"""The whole stack, in the order in which its parts need each other, and its end in the reverse order.

    servers (or given ones) ─ topology ─────────────┬─ services, until each says it is ready
                            └ migrations ─ seeds ───┘

Nothing is restarted: a process that ends is an error that names it. All of it ends with this process.
"""

import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Never, Self

import httpx2

from devstack import services
from devstack.endpoints import Endpoints
from devstack.errors import StackError
from devstack.ports import next_free_port
from devstack.process import Process
from devstack.servers.given import MANAGEMENT, Broker, given_broker, given_database
from devstack.servers.postgres import PostgresServer
from devstack.servers.postgres_binaries import postgres_binaries
from devstack.servers.rabbitmq import RabbitServer
from devstack.servers.rabbitmq_programs import rabbitmq_programs
from devstack.services import HOST, SEEDED, SERVICES, Wiring
from devstack.steps import Steps
from messaging.roles import as_role

_HTTP_PORTS = {
    services.API: 8000,
    services.CONTROL_ROOM: 8100,
    **{service: 8101 + n for n, service in enumerate(services.CONSUMERS)},
}
_JOB_SECONDS = 120
_READY_SECONDS = 60
_STOP_SECONDS = 15
_POLL_SECONDS = 0.1


@dataclass
class Stack:
    """Servers and services with their state in a folder, stopped at the end of its `with` block.

    `throwaway` state is wiped before the start and not kept safe: no fsync, and an end without ceremony.
    """

    folder: Path
    throwaway: bool = False
    extra_environment: Mapping[str, str] = field(default_factory=dict[str, str])
    processes: list[Process] = field(default_factory=list[Process], init=False)
    _cleanup: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, steps: Steps) -> Endpoints:
        """Start everything and return once every service says it is ready."""
        if self.throwaway:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)  # PostgreSQL may have to pass, as `nobody`
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()
        broker, broker_ready = self._start_broker(steps)
        databases = self._start_databases(steps)
        private = {service: url for service, url in databases.items() if not given_database(service)}
        password = secrets.token_hex(16)
        wiring = Wiring(
            amqp_url=broker.amqp_url,
            databases=databases,
            http_ports={service: next_free_port(port) for service, port in _HTTP_PORTS.items()},
            extra=self.extra_environment,
            management_url=broker.management_url,
            # in a given database, whose user may not make roles, its own URL must do
            readers={**databases, **{service: as_role(url, password) for service, url in private.items()}},
        )
        with steps.step("Migrations of all databases"):
            self._run_all([services.migration_job(service, wiring, self.logs) for service in SERVICES])
        broker_ready()
        with steps.step("Exchanges and queues; products and stock"):
            seeds = [services.seed_job(service, wiring, self.logs) for service in SEEDED]
            readers = [services.readers_job(private, password, self.logs)] if private else []
            self._run_all([services.topology_job(wiring, self.logs), *seeds, *readers])
        if broker.management_url:
            with steps.step("Broker as documented"):
                self._compare(services.gate_job(wiring, broker.management_url, self.logs))
        self._start_services(steps, wiring)
        api, control_room = (f"http://{HOST}:{wiring.http_ports[each]}" for each in services.SPOKEN_TO)
        return Endpoints(
            api,
            control_room,
            broker.amqp_url,
            broker.management_url,
            dict(wiring.databases),
            dict(wiring.api_keys),
            wiring.addresses,
        )

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.folder / "logs"

    def check(self) -> None:
        """Raise StackError, with the end of its log, if a process ended by itself."""
        for process in self.processes:
            if not process.running:
                raise StackError(f"{process.name} ended by itself with status {process.returncode}{process.log_end()}")

    def watch(self, meanwhile: Callable[[], None] = lambda: None) -> Never:
        """Call `meanwhile` again and again until a process ends by itself, which raises StackError."""
        while True:
            self.check()
            meanwhile()
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop services first, then servers. Harmless when repeated."""
        self.processes.clear()
        self._cleanup.close()

    def _start_broker(self, steps: Steps) -> tuple[Broker, Callable[[], None]]:
        """Return the broker while it is still starting, and a function that waits until it is ready."""
        if given := given_broker():
            steps.begin("RabbitMQ").done("RabbitMQ that the environment names")
            return given, lambda: None
        step = steps.begin("RabbitMQ: fetching it (once)")
        rabbitmq_programs()
        step.done("RabbitMQ: programs found")
        step = steps.begin("RabbitMQ: starting")
        port, management = next_free_port(5672), next_free_port(15672)
        server = RabbitServer(self.folder / "rabbitmq", port=port, management_port=management)
        self._cleanup.callback(server.kill if self.throwaway else server.stop)
        server.launch()
        self.processes += server.processes

        def wait() -> None:
            server.wait_ready()
            step.done(f"RabbitMQ on port {server.port}, management on port {server.management_port}")

        return Broker(server.amqp_url, server.management_url), wait

    def _start_databases(self, steps: Steps) -> dict[str, str]:
        urls = {service: url for service in SERVICES if (url := given_database(service))}
        missing = [service for service in SERVICES if service not in urls]
        if not missing:
            steps.begin("PostgreSQL").done("PostgreSQL databases that the environment names")
            return urls
        step = steps.begin("PostgreSQL: starting (fetching it once where there is none)")
        postgres_binaries()
        config = ["fsync = off"] if self.throwaway else []
        server = PostgresServer(self.folder / "postgresql", config=config, discard=self.throwaway)
        self._cleanup.callback(server.kill if self.throwaway else server.stop)
        server.start()
        self.processes.append(server.process)
        urls |= {service: server.create_database(service) for service in missing}
        place = f", data in {server.folder}" if not server.folder.is_relative_to(self.folder) else ""
        step.done(f"PostgreSQL on port {server.port}{place}")
        return urls

    def _run_all(self, jobs: Sequence[Process]) -> None:
        """Run jobs side by side to their end; one that fails is an error with the end of its log."""
        with ExitStack() as running:
            for job in jobs:
                running.callback(job.kill)
                job.launch()
            for job in jobs:
                status = job.wait(seconds=_JOB_SECONDS)
                if status != 0:
                    raise StackError(f"{job.name} failed with status {status}{job.log_end()}")

    def _compare(self, gate: Process) -> None:
        try:
            self._run_all([gate])
        except StackError as failure:
            private = self.folder / "rabbitmq"
            way_out = (
                f"Or begin with a fresh broker: delete {private}"
                if private.exists()
                else f"Unless {MANAGEMENT} is set, nothing is compared"
            )
            raise StackError(
                f"{failure}\nThe broker is not as documented: no service was started. {way_out}."
            ) from None

    def _start_services(self, steps: Steps, wiring: Wiring) -> None:
        step = steps.begin("Services: starting")
        started = [services.service_process(service, wiring, self.logs) for service in SERVICES]
        self._cleanup.callback(_stop_together, started)
        for process in started:
            process.launch()
        for process in started:
            port = wiring.http_ports[process.name]
            process.wait_ready(lambda port=port: _says_ready(port), seconds=_READY_SECONDS)
        self.processes += started
        step.done(f"{len(started)} services, each ready")


def _says_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://{HOST}:{port}/readyz", timeout=2).status_code == HTTPStatus.OK
    except httpx2.TransportError:
        return False


def _stop_together(processes: Sequence[Process]) -> None:
    for process in processes:
        process.ask_to_end()
    for process in processes:
        process.stop(seconds=_STOP_SECONDS)
