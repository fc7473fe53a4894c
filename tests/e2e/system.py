"""The whole system as a user runs it: its services as processes, on the suite's servers, with short retry tiers."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2

from devstack import services
from devstack.ports import any_free_port
from devstack.process import Process
from devstack.servers import PostgresServer, RabbitServer
from devstack.services import API, CONTROL_ROOM, HOST, SEEDED, SERVICES, Wiring
from messaging import rights, roles
from messaging.asyncapi import reading
from messaging.management import virtual_host as virtual_host_of
from messaging.migrations import migrate
from messaging.rights import rights_of
from tests.broker.rabbit import virtual_host

TIERS = "50ms,100ms,200ms,400ms"
ENVIRONMENT = {
    "RETRY_TIERS": TIERS,
    **{f"{service.upper()}_RETRY_TIERS": TIERS for service in SERVICES},
    "PAYMENT_GATEWAY_BREAKER_RESET": "0.1",  # shorter than the tiers together, as it is in production
    "SHIPPING_CARRIER_BREAKER_RESET": "0.1",
}
JOB_SECONDS = 60
READY_SECONDS = 60
STOP_SECONDS = 20
PASSWORD = "of-a-test"
"""Of every service's user and role."""


@dataclass
class System:
    """A running system. Everything it started ends with `stop`."""

    wiring: Wiring
    management_url: str
    folder: Path
    running: list[Process] = field(default_factory=list[Process])
    narrow: Wiring | None = None
    """What the services are told: each its own user on the broker, and its own role in its database."""

    @property
    def api(self) -> str:
        """The URL of the REST API."""
        return f"http://{HOST}:{self.wiring.http_ports[API]}"

    @property
    def control_room(self) -> str:
        """The URL of the control room."""
        return f"http://{HOST}:{self.wiring.http_ports[CONTROL_ROOM]}"

    @property
    def operator(self) -> dict[str, str]:
        """The header of an operator."""
        return {"Authorization": f"Bearer {self.wiring.api_keys['operator']}"}

    @property
    def authorization(self) -> dict[str, str]:
        """The header of a client of the API."""
        return {"Authorization": f"Bearer {self.wiring.api_keys['client']}"}

    async def prepare(self, names: Sequence[str] = SERVICES) -> None:
        """Migrate, declare, seed, grant: what runs ahead of these services."""
        self.folder.mkdir(parents=True)
        for service in names:  # here, and not as jobs, which would spend most of their time on imports
            await asyncio.to_thread(migrate, service, self.wiring.databases[service])
        seeds = [services.seed_job(service, self.wiring, self.folder) for service in SEEDED if service in names]
        self._run_all([services.topology_job(self.wiring, self.folder), *seeds])
        self.narrow = await narrowed(self.wiring, self.management_url, names)

    async def start(self, names: Sequence[str], replica: str = "") -> list[Process]:
        """Start services side by side; return once each says that it is ready. A replica has its own ports and log."""
        assert self.narrow is not None, "prepare comes first"
        wiring, logs = self.narrow, self.folder
        if replica:
            wiring = replace(wiring, http_ports={name: any_free_port() for name in SERVICES})
            logs = self.folder / replica
        started = [self.process(name, wiring, logs) for name in names]
        for process in started:
            process.launch()
        self.running += started
        for process in started:
            await ready(process, wiring.http_ports[process.name])
        return started

    def process(self, name: str, wiring: Wiring, logs: Path) -> Process:
        """A service, not started yet."""
        return services.service_process(name, wiring, logs)

    async def restart(self, process: Process) -> None:
        """Start a service again, on its own port, after it was killed."""
        process.launch()
        await ready(process, self.wiring.http_ports[process.name])

    def named(self, name: str) -> Process:
        """The first process of a service."""
        return next(process for process in self.running if process.name == name)

    def stop(self, processes: Sequence[Process] | None = None) -> Mapping[str, int]:
        """End services as a deploy would, side by side; returns their exit statuses."""
        ending = list(self.running if processes is None else processes)
        for process in ending:
            process.ask_to_end()
        statuses = {process.name: process.wait(seconds=STOP_SECONDS) for process in ending}
        for process in ending:
            process.kill()
            self.running.remove(process)
        return statuses

    def kill(self) -> None:
        """End what is still running, at once."""
        while self.running:
            self.running.pop().kill()

    def _run_all(self, jobs: Sequence[Process]) -> None:
        with ExitStack() as running:
            for job in jobs:
                running.callback(job.kill)
                job.launch()
            for job in jobs:
                assert job.wait(seconds=JOB_SECONDS) == 0, f"{job.name} failed{job.log_end()}"


@asynccontextmanager
async def running(
    rabbitmq: RabbitServer, postgres: PostgresServer, folder: Path, names: Sequence[str], extra: Mapping[str, str]
) -> AsyncGenerator[System]:
    """These services, ready, on a virtual host and databases of their own; `folder` gives the databases their names.

    At the end each stops in good order.
    """
    wiring = Wiring(
        amqp_url=await virtual_host(rabbitmq),
        databases={name: postgres.create_database(f"{folder.name}_{name}") for name in names},
        http_ports={name: any_free_port() for name in names},
        extra=extra,
    )
    system = System(wiring, rabbitmq.management_url, folder / "logs")
    try:
        await system.prepare(names)
        await system.start(names)
        yield system
        system.stop()
    finally:
        system.kill()


async def narrowed(wiring: Wiring, management_url: str, names: Sequence[str]) -> Wiring:
    """The same, with a user and a role for each of these services that have the rights of production and no others."""
    topology = reading.read_topology().with_tiers(TIERS.split(","))
    granted = rights_of(reading.load(), topology)
    users = [(name, granted[name], PASSWORD) for name in names]
    await rights.grant(management_url, virtual_host_of(wiring.amqp_url), users)
    for name in names:
        await roles.grant(wiring.databases[name], name, PASSWORD, roles.SERVING)
    broker = httpx2.URL(wiring.amqp_url)
    return replace(
        wiring,
        amqp_urls={name: str(broker.copy_with(username=name, password=PASSWORD)) for name in names},
        databases={name: roles.as_role(wiring.databases[name], PASSWORD, name) for name in names},
    )


async def ready(process: Process, port: int) -> None:
    """Wait until a service answers that it consumes and has its database."""
    async with httpx2.AsyncClient() as http, asyncio.timeout(READY_SECONDS):
        while True:
            assert process.running, f"{process.name} ended with {process.returncode}{process.log_end()}"
            try:
                if (await http.get(f"http://{HOST}:{port}/readyz")).is_success:
                    return
            except httpx2.TransportError:
                pass  # it does not listen yet
            await asyncio.sleep(0.05)
