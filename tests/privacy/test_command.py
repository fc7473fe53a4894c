"""`./run erase`, with the jobs that it runs, on real databases and a real broker."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from uuid import UUID

import aio_pika
import pytest
import pytest_asyncio
import typer
from aio_pika.abc import AbstractChannel
from sqlalchemy import text

from contracts import OrderCreated
from devstack.commands import erase as command
from devstack.endpoints import Endpoints
from devstack.servers import RabbitServer
from messaging.asyncapi.reading import read_topology
from messaging.collector import DeadLetter
from messaging.database import Database
from messaging.declare import apply
from messaging.topology import DEAD, dead_letter_queue
from operations import custody as custody_of
from order_api import erasure
from tests.broker.rabbit import Broker, virtual_host
from tests.machine.world import World
from tests.privacy.places import CUSTOMER, MARK, erased, place, places, wish

pytestmark = [pytest.mark.broker, pytest.mark.database]

QUEUE = "payment.order.created"
Run = Callable[..., int]


@pytest_asyncio.fixture
async def broker(rabbitmq_server: RabbitServer) -> AsyncGenerator[Broker]:
    """A fresh virtual host with everything that the document describes."""
    url = await virtual_host(rabbitmq_server)
    await apply(read_topology(), url)
    connection = await aio_pika.connect(url)
    yield Broker(url, await connection.channel())
    await connection.close()


@pytest_asyncio.fixture
async def custody(clone_database: Callable[[str], Awaitable[str]]) -> str:
    """The control room's database."""
    return await clone_database("operations")


@pytest.fixture
def run(world: World, broker: Broker, custody: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on the world's databases and the broker; returns its exit status."""
    world.urls["operations"] = custody
    up = Endpoints("http://127.0.0.1:1", "http://127.0.0.1:1", broker.url, None, world.urls, {})
    monkeypatch.setattr(command, "read_endpoints", lambda: up)

    def run(
        customer: str | None = CUSTOMER, client: str | None = None, days: int | None = None, *, again: bool = False
    ) -> int:
        with pytest.raises(typer.Exit) as ended:
            command.erase(customer, client, "Grace", days, again=again)
        return ended.value.exit_code

    return run


async def park(channel: AbstractChannel, order_id: UUID) -> None:
    """Park the order's first event, with marks in it."""
    created = OrderCreated.example().model_copy(update={"order_id": order_id, "customer_id": CUSTOMER})
    door = await channel.get_exchange(DEAD, ensure=False)
    await door.publish(
        aio_pika.Message(created.model_dump_json().encode(), correlation_id=str(order_id)), routing_key=QUEUE
    )


async def take_into_custody(url: str, order_id: UUID) -> None:
    """Let the control room have the order's first event, with marks in it."""
    created = OrderCreated.example().model_copy(update={"order_id": order_id, "customer_id": CUSTOMER})
    letter = DeadLetter(dead_letter_queue(QUEUE), created.model_dump_json().encode(), {}, QUEUE, str(created.event_id))
    database = Database(url, name="custody")
    async with database.session() as db, db.begin():
        await custody_of.store(db, [letter])
    await database.close()


async def bodies(url: str) -> str:
    """Everything that the control room has in custody."""
    database = Database(url, name="custody")
    async with database.engine.connect() as connection:
        found = (await connection.execute(text("SELECT string_agg(body, ' ') FROM dead_letters"))).scalar_one()
    await database.close()
    return str(found)


async def test_a_customer_is_erased_everywhere(
    world: World, broker: Broker, custody: str, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """One command: no mark in any database nor in a parked message; the record names who did it.

    A database that comes back from a backup knows the customer again; the record is enough to erase it once more.
    """
    orders = [await place(world, wish(), number) for number in range(2)]
    await world.deliver_all()
    await park(broker.channel, orders[0])
    await take_into_custody(custody, orders[0])
    (backup,) = await world.sql("payment", "SELECT said::text FROM payments WHERE order_id = $1", orders[0])
    assert await asyncio.to_thread(run) == 0
    said = capfd.readouterr()
    assert "Orders to erase: 2" in said.out
    assert f"{dead_letter_queue(QUEUE)}: messages erased: 1" in said.out
    assert await places(world) == set()
    assert MARK.encode() not in (await broker.take(dead_letter_queue(QUEUE))).body
    assert "operations: rows erased: 1" in said.out
    assert MARK not in await bodies(custody)
    assert {row.erased_by for row in await erased(world)} == {"Grace"}

    await world.sql("payment", "UPDATE payments SET said = $1::text::jsonb", backup["said"])
    assert await places(world) == {"payment.payments.said"}
    assert await asyncio.to_thread(lambda: run(None, again=True)) == 0
    assert "Orders to erase: 2" in capfd.readouterr().out
    assert await places(world) == set()


async def test_what_is_not_settled_is_named(world: World, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """Status 1, and the order's id; what is settled is erased."""
    done = await place(world, wish(), 1)
    await world.deliver_all()
    on_its_way = await place(world, wish(), 2)
    assert await asyncio.to_thread(run) == 1
    said = capfd.readouterr()
    assert "Orders to erase: 1" in said.out
    assert f"Not settled yet, erase again later:\n  {on_its_way}" in said.err
    assert [row.order_id for row in await erased(world)] == [done]


async def test_what_is_old_is_erased(world: World, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """Settled orders beyond an age are erased whosever they are; younger ones, and those on their way, are not."""
    old, unsettled = [await place(world, wish(customer=f"{MARK}-{number}"), number) for number in range(2)]
    await world.deliver([letter for letter in world.network.bag if letter.order_id == str(old)])
    world.network.bag = [letter for letter in world.network.bag if letter.order_id != str(unsettled)]
    await world.deliver_all()
    young = await place(world, wish(), 2)
    await world.deliver_all()
    await world.sql(
        "order_api", "UPDATE orders SET created_at = now() - interval '91 days' WHERE order_id <> $1", young
    )
    assert await asyncio.to_thread(lambda: run(None, days=90)) == 0
    assert "Orders to erase: 1" in capfd.readouterr().out
    assert [row.order_id for row in await erased(world)] == [old]
    assert await erasure.find_old(world.shop.database, 90) == []


async def test_two_clients_with_such_a_customer(world: World, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """Nobody guesses whose customer is meant: nothing is erased until the client is named."""
    await place(world, wish(), 1)
    theirs = await place(world, wish(), 2)
    await world.deliver_all()
    await world.sql("order_api", "UPDATE orders SET client_id = 'another' WHERE order_id = $1", theirs)
    assert await asyncio.to_thread(run) == 2
    assert "another, storefront. Say whose: --client NAME" in capfd.readouterr().err
    assert await erased(world) == []


async def test_a_database_that_is_away_leaves_the_customer_to_be_found(
    world: World, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """Shipping's database does not answer: status 2, the way out is said, and the next run erases everything."""
    await place(world, wish(), 1)
    await world.deliver_all()
    there = world.urls["shipping"]
    world.urls["shipping"] = "postgresql://nobody:wrong@127.0.0.1:1/none"
    assert await asyncio.to_thread(run) == 2
    said = capfd.readouterr()
    assert "shipping: its database does not answer" in said.err
    assert "the same command" in said.err
    assert "wrong" not in said.out + said.err
    world.urls["shipping"] = there
    assert await asyncio.to_thread(run) == 0
    assert await places(world) == set()


async def test_a_command_without_a_customer(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """Who is meant must be said: a customer, an age, or --again, and one of them."""
    for customer, days, again in ((None, None, False), (CUSTOMER, None, True), (CUSTOMER, 90, False), (None, 90, True)):
        with pytest.raises(typer.BadParameter, match="name a customer, or give --older-than or --again"):
            command.erase(customer, None, "", days, again=again)
    assert await asyncio.to_thread(lambda: run("--nobody")) == 0
    assert "No order is left under --nobody" in capfd.readouterr().err
