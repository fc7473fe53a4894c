"""Each service's user on the broker and role in its database can do what the service does, and nothing else.

That they can do all of it is shown by tests/e2e, whose services run with them.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import httpx2
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError
from typer.testing import CliRunner

from devstack.servers import RabbitServer
from devstack.services import SERVICES
from messaging.__main__ import app
from messaging.asyncapi import reading
from messaging.declare import apply
from messaging.management import ManagementUnavailable, read_broker
from messaging.management import virtual_host as virtual_host_of
from messaging.roles import as_role
from tests.broker.rabbit import virtual_host

pytestmark = pytest.mark.private("it would give the users of the composed services other passwords")

Clone = Callable[[str], Awaitable[str]]
PASSWORD = "in a file/@:"
EVENTS = "orders.events"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A tree of secrets: each service's two passwords."""
    for service in SERVICES:
        (tmp_path / service).mkdir()
        for what in ("amqp", "database"):
            (tmp_path / service / f"{service}_{what}_password").write_text(f"{PASSWORD}{service}\n")
    return tmp_path


@dataclass(frozen=True)
class Granted:
    """A virtual host with the whole topology, where every service has its user."""

    url: str
    management_url: str

    @asynccontextmanager
    async def as_user(self, name: str) -> AsyncGenerator[AbstractChannel]:
        """A channel of that service's user; what it publishes is mandatory and confirmed."""
        parts = httpx2.URL(self.url)
        url = str(parts.copy_with(username=name, password=f"{PASSWORD}{name}"))
        async with await aio_pika.connect(url) as connection:
            yield await connection.channel(on_return_raises=True)


@pytest_asyncio.fixture
async def granted(rabbitmq_server: RabbitServer, secrets: Path) -> Granted:
    """The broker after the jobs `topology apply` and `users`, the second of which ran twice."""
    url = await virtual_host(rabbitmq_server)
    await apply(reading.read_topology(), url)
    environment = {"AMQP_URL": url, "RABBITMQ_MANAGEMENT_URL": rabbitmq_server.management_url}
    for _ in range(2):
        done = await asyncio.to_thread(CliRunner().invoke, app, ["users", "--secrets", str(secrets)], env=environment)
        assert done.exit_code == 0, done.output
        assert "payment: reads 4 queues, writes to 7 exchanges\n" in done.output
    return Granted(url, rabbitmq_server.management_url)


async def publish(channel: AbstractChannel, exchange: str, key: str, user: str | None = None) -> None:
    """Publish; raises AMQPError for what the broker refuses or returns."""
    to = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
    await to.publish(aio_pika.Message(b"{}", user_id=user), routing_key=key)


async def test_a_service_speaks_for_itself(granted: Granted) -> None:
    """Payment says what the document says it says, under its own name, and reads its own queue."""
    async with granted.as_user("payment") as channel:
        await publish(channel, EVENTS, "payment.authorized", "payment")
        queue = await channel.get_queue("payment.shipping.ready", ensure=False)
        assert await queue.get(fail=False) is None


@pytest.mark.parametrize(
    ("exchange", "key", "user"),
    [
        (EVENTS, "order.created", "payment"),
        (EVENTS, "payment.authorized", "inventory"),
        ("orders.requeue", "payment.order.created", "payment"),
        ("orders.unrouted", "anything", "payment"),
        ("", "inventory.payment.authorized", "payment"),
    ],
    ids=["another's event", "a forged name", "a return", "past the exchange", "the default exchange"],
)
async def test_a_service_says_nothing_else(granted: Granted, exchange: str, key: str, user: str) -> None:
    """Another's event, another's name, and any exchange that the document does not give to payment, are refused."""
    async with granted.as_user("payment") as channel:
        with pytest.raises(AMQPError, match=r"ACCESS_REFUSED|PRECONDITION_FAILED - user_id"):
            await publish(channel, exchange, key, user)


@pytest.mark.parametrize("queue", ["inventory.payment.authorized", "payment.order.created.dlq", "orders.retry.1s"])
async def test_a_service_reads_nothing_else(granted: Granted, queue: str) -> None:
    """Neither another's queue, nor its own dead letters, nor a tier."""
    async with granted.as_user("payment") as channel:
        with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
            await (await channel.get_queue(queue, ensure=False)).get(fail=False)


async def test_a_service_changes_no_topology(granted: Granted) -> None:
    """It can make, bind, purge and delete nothing."""
    attempts: list[Callable[[AbstractChannel], Awaitable[Any]]] = [
        lambda channel: channel.declare_queue("mine"),
        lambda channel: channel.queue_delete("payment.order.created"),
        lambda channel: channel.exchange_delete(EVENTS),
        lambda channel: channel.declare_exchange("mine"),
    ]
    for attempt in attempts:
        async with granted.as_user("payment") as channel:
            with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
                await attempt(channel)


async def test_only_the_control_room_watches(granted: Granted) -> None:
    """Operations sees every queue by the management API; another service's user is turned away."""
    vhost = virtual_host_of(granted.url)

    def as_user(name: str) -> str:
        return str(httpx2.URL(granted.management_url).copy_with(username=name, password=f"{PASSWORD}{name}"))

    assert len((await read_broker(as_user("operations"), vhost)).queues) == len(reading.read_topology().queues)
    with pytest.raises(ManagementUnavailable, match="401"):
        await read_broker(as_user("payment"), vhost)


@pytest.mark.database
async def test_a_role_changes_rows_and_nothing_else(clone_database: Clone, secrets: Path) -> None:
    """Payment's role writes rows, of tables to come, too; it makes no table, and says of no migration that it ran."""
    urls = {name: await clone_database(name) for name in ("payment", "inventory")}
    environment = {f"{name.upper()}_DATABASE_URL": url for name, url in urls.items()}
    for _ in range(2):
        done = await asyncio.to_thread(
            CliRunner().invoke, app, ["roles", *urls, "--secrets", str(secrets)], env=environment
        )
        assert done.exit_code == 0, done.output
    owner: Any = await asyncpg.connect(urls["payment"])
    await owner.execute("CREATE TABLE later (id serial PRIMARY KEY, what text)")
    await owner.close()

    role: Any = await asyncpg.connect(as_role(urls["payment"], f"{PASSWORD}payment", "payment"))
    await role.execute("INSERT INTO later (what) VALUES ('row')")
    assert await role.fetchval("SELECT count(*) FROM alembic_version") == 1
    for refused in (
        "CREATE TABLE mine (id int)",
        "ALTER TABLE outbox ADD COLUMN mine int",
        "DROP TABLE inbox",
        "TRUNCATE inbox",
        "CREATE TEMPORARY TABLE mine (id int)",
        "DELETE FROM alembic_version",
        "CREATE ROLE mine",
        "COPY inbox TO PROGRAM 'cat'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await role.execute(refused)
    await role.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="inventory"):
        await asyncpg.connect(as_role(urls["inventory"], f"{PASSWORD}payment", "payment"))


@pytest.mark.parametrize("job", [["users"], ["roles", "payment"]], ids=["users", "roles"])
def test_a_missing_password_is_named(tmp_path: Path, job: list[str]) -> None:
    """Without a service's file nothing is granted, and the file is named."""
    nowhere = "http://127.0.0.1:9"
    environment = {"AMQP_URL": "amqp://127.0.0.1:9", "RABBITMQ_MANAGEMENT_URL": nowhere, "COLUMNS": "300"}
    done = CliRunner().invoke(app, [*job, "--secrets", str(tmp_path)], env=environment)
    assert done.exit_code == 2
    assert "_password is missing or empty" in done.output
