"""The whole system on servers of its own, each of which can be harmed: what the faults are done to."""

import asyncio
import shutil
import signal
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2

from devstack import services
from devstack.ports import any_free_port
from devstack.process import Process
from devstack.servers import PostgresServer, RabbitServer
from devstack.services import API, HOST, SERVICES, Wiring
from tests.broker.proxy import Proxy, proxy_for
from tests.broker.rabbit import until
from tests.e2e.system import ENVIRONMENT, System, ready
from tests.invariants.checker import Checker
from tests.invariants.expectations import Ending, Parked
from tests.invariants.history import Answer

YOUNG_QUEUE = 3.0
"""Seconds after which a quorum queue keeps what it confirmed through a kill of its only node (measured)."""
END_SECONDS = 40
SHARED = "shared"
"""The PostgreSQL of those services that have none of their own."""


@dataclass
class Expected:
    """What clients were told, and what follows from it, over all faults that one system saw."""

    history: list[Answer] = field(default_factory=list[Answer])
    endings: dict[str, Ending] = field(default_factory=dict[str, Ending])
    parked: list[Parked] = field(default_factory=list[Parked])
    uncertain: set[Parked] = field(default_factory=set[Parked])
    """Poison that the broker did not confirm: it may be parked."""


@dataclass
class Lab:
    """A running system, and hands on each of its parts."""

    system: System
    rabbitmq: RabbitServer
    postgres: Mapping[str, PostgresServer]
    """By service; several may share one."""
    expected: Expected = field(default_factory=Expected)

    @property
    def checker(self) -> Checker:
        """The checker of this system."""
        wiring = self.system.wiring
        log = self.rabbitmq.folder / "rabbitmq.log"
        return Checker(wiring.databases, wiring.amqp_url, self.system.management_url, log)

    def end(self, service: str, sent: signal.Signals = signal.SIGKILL) -> int:
        """End a service's process; returns its exit status."""
        process = self.system.named(service)
        process.ask_to_end(sent)
        return process.wait(seconds=END_SECONDS)

    def launch(self, service: str, *launcher: str, **environment: str) -> Process:
        """Start a service that has ended, with these variables besides, and do not wait.

        `launcher`: a module and its arguments that go ahead of the service's own command.
        """
        system = self.system
        assert system.narrow is not None
        wiring = replace(system.narrow, extra={**system.narrow.extra, **environment})
        process = services.service_process(service, wiring, system.folder)
        python, flag, *module = process.program.command
        process.program = replace(process.program, command=[python, flag, *launcher, *module])
        system.running = [process if each.name == service else each for each in system.running]
        process.launch()
        return process

    async def start(self, service: str, **environment: str) -> None:
        """Start a service that has ended; return when it is ready."""
        await self.ready(self.launch(service, **environment))

    async def restart_by(self, service: str, *launcher: str) -> None:
        """End a service in good order and start it by a launcher; return when it is ready."""
        await asyncio.to_thread(self.end, service, signal.SIGTERM)
        await self.ready(self.launch(service, *launcher))

    async def restart(self, service: str, **environment: str) -> None:
        """End a service in good order and start it with these variables besides; return when it is ready."""
        await asyncio.to_thread(self.end, service, signal.SIGTERM)
        await self.start(service, **environment)

    async def ready(self, process: Process) -> None:
        """Wait until a process consumes and has its database."""
        await ready(process, self.system.wiring.http_ports[process.name])

    async def all_ready(self) -> None:
        """Wait until every service is."""
        for process in list(self.system.running):
            await self.ready(process)

    async def is_ready(self, service: str) -> bool:
        """Whether a service says so."""
        try:
            async with httpx2.AsyncClient(timeout=2) as http:
                url = f"http://{HOST}:{self.system.wiring.http_ports[service]}/readyz"
                return (await http.get(url)).is_success
        except httpx2.TransportError:
            return False

    async def unready(self, service: str, patience: float = 30) -> None:
        """Wait until a service says that it cannot work."""

        async def told() -> bool:
            return not await self.is_ready(service)

        await until(told, patience)

    @asynccontextmanager
    async def behind_proxies(self, *names: str, what: str) -> AsyncGenerator[Mapping[str, Proxy]]:
        """Put a proxy between each of these services and its DATABASE or AMQP; at the end they are as before."""
        assert self.system.narrow is not None
        environment = {name: self.system.narrow.environment(name)[f"{name.upper()}_{what}_URL"] for name in names}
        async with AsyncExitStack() as stack:
            proxies = {name: await stack.enter_async_context(proxy_for(url)) for name, url in environment.items()}
            changed = {
                name: {f"{name.upper()}_{what}_URL": proxies[name].url(url)} for name, url in environment.items()
            }
            await asyncio.gather(*(self.restart(name, **changed[name]) for name in names))
            yield proxies
            await asyncio.gather(*(self.restart(name) for name in names))


@asynccontextmanager
async def opened(folder: Path, own: Collection[str], **environment: str) -> AsyncGenerator[Lab]:
    """A system that is ready; these services have a PostgreSQL each, the others share one.

    Nothing of it outlives the block.
    """
    with ExitStack() as servers:
        rabbitmq = RabbitServer(folder / "rabbitmq")
        named = {name: PostgresServer(folder / f"postgres-{name}") for name in (*own, SHARED)}
        if set(own) == set(SERVICES):
            del named[SHARED]
        for server in (rabbitmq, *named.values()):
            servers.callback(shutil.rmtree, server.folder, ignore_errors=True)
            servers.callback(server.kill)  # what it holds goes with it
            await asyncio.to_thread(server.launch)
        for server in (rabbitmq, *named.values()):
            await asyncio.to_thread(server.wait_ready)
        postgres = {name: named[name if name in own else SHARED] for name in SERVICES}
        wiring = Wiring(
            amqp_url=rabbitmq.amqp_url,
            databases={name: server.create_database(name) for name, server in postgres.items()},
            http_ports={name: any_free_port() for name in SERVICES},
            extra={**ENVIRONMENT, f"{API.upper()}_RATE_LIMIT": "5000/second", **environment},
        )
        system = System(wiring, rabbitmq.management_url, folder / "logs")
        servers.callback(system.kill)
        await system.prepare()
        await system.start(SERVICES)
        await asyncio.sleep(YOUNG_QUEUE)
        yield Lab(system, rabbitmq, postgres)
