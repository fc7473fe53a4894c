"""No service starts against a broker that differs from the document, in containers and on one machine."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import pytest
import pytest_asyncio
from rich.console import Console

from devstack.errors import StackError
from devstack.paths import CHECKOUT
from devstack.servers import RabbitServer
from devstack.servers.given import AMQP, MANAGEMENT, database_variable
from devstack.services import SERVICES
from devstack.stack import Stack
from devstack.steps import Steps
from messaging.asyncapi.reading import read_topology
from messaging.declare import apply
from messaging.management import ManagementUnavailable
from messaging.topology import EVENTS
from messaging.verify import Drift, until_clean
from tests.broker.rabbit import virtual_host

DRIFT = "by-hand.queue"

CloneDatabase = Callable[[str], Awaitable[str]]


@dataclass(frozen=True)
class Drifted:
    """Where a broker is that has all that is documented, and something besides."""

    amqp_url: str
    management_url: str
    databases: dict[str, str]

    async def mend(self) -> None:
        """Delete what is not documented."""
        async with await aio_pika.connect(self.amqp_url) as connection, connection.channel() as channel:
            await channel.queue_delete(DRIFT)


@pytest_asyncio.fixture
async def drifted(rabbitmq_server: RabbitServer, clone_database: CloneDatabase) -> AsyncGenerator[Drifted]:
    """A virtual host where somebody bound a queue by hand, and a database for each service."""
    url = await virtual_host(rabbitmq_server)
    await apply(read_topology(), url)
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue(DRIFT, durable=True)
        await queue.bind(EVENTS, "order.#")
    databases = {service: await clone_database(service) for service in SERVICES}
    yield Drifted(url, rabbitmq_server.management_url, databases)


async def set_up(broker: Drifted) -> subprocess.CompletedProcess[str]:
    """Run the set-up job of compose.yml, without its container."""
    databases = {f"{service.upper()}_DATABASE_URL": url for service, url in broker.databases.items()}
    given = {"AMQP_URL": broker.amqp_url, "RABBITMQ_MANAGEMENT_URL": broker.management_url, **databases}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return await asyncio.to_thread(
        subprocess.run,
        ["/bin/sh", "deploy/set_up.sh"],
        cwd=CHECKOUT,
        env={**os.environ, **given, "PATH": path, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.broker
@pytest.mark.database
async def test_the_set_up_job_fails_while_the_broker_drifts(drifted: Drifted) -> None:
    """Compose starts no service after it; the report names what differs and the way out. Mended, the job passes."""
    failed = await set_up(drifted)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "2 differences from the document" in failed.stdout
    assert f"{EVENTS} -> {DRIFT}" in failed.stdout
    assert "topology plan" in failed.stdout
    await drifted.mend()
    passed = await set_up(drifted)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert all(f"{service}: database is at its newest schema" in passed.stdout for service in SERVICES)
    assert "the broker holds what the document says" in passed.stdout


@pytest.mark.e2e
async def test_no_service_is_started_while_the_broker_drifts(
    drifted: Drifted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`./run demo` and `./run up` end with the report instead."""
    monkeypatch.setenv(AMQP, drifted.amqp_url)
    monkeypatch.setenv(MANAGEMENT, drifted.management_url)
    for service, url in drifted.databases.items():
        monkeypatch.setenv(database_variable(service), url)
    with Stack(tmp_path) as stack, Steps(Console(quiet=True)) as steps:
        with pytest.raises(StackError, match="no service was started") as refused:
            await asyncio.to_thread(stack.start, steps)
        assert DRIFT in str(refused.value)
        assert MANAGEMENT in str(refused.value)
        assert not list(stack.logs.glob("payment.log"))


async def test_a_management_api_that_is_still_starting_is_waited_for() -> None:
    """It answers later than AMQP does; when patience is over, its silence is an error, and no clean broker."""
    answers: list[Sequence[Drift] | ManagementUnavailable] = [ManagementUnavailable("queues: ConnectError"), []]

    async def look() -> Sequence[Drift]:
        match answers.pop(0):
            case ManagementUnavailable() as unavailable:
                raise unavailable
            case drifts:
                return drifts

    assert await until_clean(look, patience=0, silence=60) == []
    answers = [ManagementUnavailable("queues: ConnectError")]
    with pytest.raises(ManagementUnavailable):
        await until_clean(look, patience=0)
