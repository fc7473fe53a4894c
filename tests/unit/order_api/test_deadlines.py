"""Overdue orders are said again until they are settled, each by one sweeper."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from faststream.rabbit import RabbitBroker, RabbitQueue, TestRabbitBroker
from faststream.rabbit.annotations import RabbitMessage
from sqlalchemy import text
from sqlmodel import col, select, update

from contracts import CancelReason, OrderCancelRequested, OrderCreated
from messaging.courier import EVENTS_EXCHANGE
from messaging.service import Service
from messaging.topology import DEFAULT_TIERS, milliseconds
from order_api import deadlines
from order_api.app import build, create_api
from order_api.deadlines import BATCH, MOST_BATCHES, Deadlines
from order_api.domain import Patience
from order_api.facts import Facts
from order_api.models import Order
from order_api.schemas import PlaceOrder
from order_api.seed import listings, seed
from order_api.settings import Settings
from tests.unit.order_api.orders import NEVER, STOREFRONT, Run, deliver, load, said_of, store

PATIENCE = Settings(database_url="unused").patience  # type: ignore[arg-type]
WEEK = timedelta(days=7)


@pytest_asyncio.fixture
async def service(run_in_memory: Run) -> AsyncGenerator[Service]:
    """Run the service; it sweeps when a test says so."""
    made = await run_in_memory(build, Settings, deadline_interval=NEVER)
    async with TestRabbitBroker(made.broker):
        yield made


def sweeper(service: Service, **changes: Any) -> Deadlines:
    """Make a sweeper for the service's orders."""
    patience = {name: getattr(PATIENCE, name) for name in Patience.__slots__}
    return Deadlines(service.execute, Patience(**{**patience, **changes}), NEVER)


async def make_overdue(service: Service) -> None:
    """Let every deadline that is set be over."""
    async with service.database.session() as db, db.begin():
        over = update(Order).where(col(Order.next_deadline).is_not(None))
        await db.exec(over.values(next_deadline=datetime.now(UTC) - timedelta(seconds=1)))


def test_the_first_deadline_lets_every_retry_finish() -> None:
    """By default it is more than one and a half times what a message waits in all retry tiers."""
    assert 1.5 * sum(milliseconds(tier) for tier in DEFAULT_TIERS) / 1000 < PATIENCE.first


async def test_an_overdue_order_is_said_again(service: Service) -> None:
    """Sweep after sweep the first event is said under the next number: same id, same body, its number in the header."""
    (order_id,) = await store(service)
    for _ in range(2):
        assert await sweeper(service).sweep() == 1
        await make_overdue(service)
    first, second = await said_of(service, order_id)
    order = await load(service, order_id)
    created = OrderCreated.model_validate(order.said["order.created"], strict=False)
    for number, said in enumerate((first, second), 1):
        assert (said.name, said.redrive, said.headers["x-redrive"]) == ("order.created", number, number)
        assert said.event_id == created.event_id
        assert OrderCreated.model_validate_json(said.body) == created
    assert order.redrives == 2


async def test_a_deadline_is_set_by_the_database_and_doubles(service: Service) -> None:
    """A new order is not overdue; one that was said again has twice as long as before."""
    (order_id,) = await store(service)
    for wait in (2_400, 4_800):
        await sweeper(service).sweep()
        async with service.database.session() as db:
            left = (await db.exec(select(col(Order.next_deadline) - text("now()")))).one()
        assert timedelta(seconds=wait - 60) < left <= timedelta(seconds=wait)
        assert await sweeper(service).sweep() == 0
        await make_overdue(service)
    assert (await load(service, order_id)).redrives == 2


async def test_a_placed_order_has_a_deadline(run_in_memory: Run, wish: dict[str, object]) -> None:
    """An accepted order is watched from its first moment, and after its first deadline the running service finds it."""
    service = await run_in_memory(build, Settings, deadline_interval=0.01, first_deadline=0.01)
    await seed(service.database, listings())
    shop = create_api(service, Settings(first_deadline=0.01)).state.shop
    listener, again = RabbitBroker(), asyncio.Event()
    queue = RabbitQueue("test.order.created", routing_key="order.created")

    @listener.subscriber(queue, exchange=EVENTS_EXCHANGE)
    async def listen(message: RabbitMessage) -> None:
        if message.headers.get("x-redrive") == 2:
            again.set()

    async with TestRabbitBroker(service.broker, listener):
        del listen
        await shop.place(PlaceOrder.model_validate(wish), STOREFRONT)
        await asyncio.wait_for(again.wait(), 20)


async def test_a_settled_order_is_left_alone(service: Service) -> None:
    """Declined, voided, or captured and shipped: nothing is said again, whatever time passes."""
    for facts in (["payment.declined"], ["payment.voided"], ["inventory.shipped", "payment.captured"]):
        (order_id,) = await store(service)
        await deliver(service, order_id, *facts)
        assert (await load(service, order_id)).next_deadline is None
    await make_overdue(service)
    assert await sweeper(service).sweep() == 0


async def test_a_ready_order_whose_money_is_due_is_said_again(service: Service) -> None:
    """Final is not settled: until the money is taken the order is said again, and it is never cancelled for that."""
    (order_id,) = await store(service, age=2 * WEEK)
    await deliver(service, order_id, "shipping.ready", "inventory.shipped", "payment.capture_failed")
    for _ in range(5):
        await make_overdue(service)
        assert await sweeper(service).sweep() == 1
    await deliver(service, order_id, "payment.captured")
    await make_overdue(service)
    assert await sweeper(service).sweep() == 0
    assert [said.name for said in await said_of(service, order_id)] == ["order.created"] * 5


async def test_after_so_many_redrives_it_is_to_be_cancelled(service: Service) -> None:
    """When the re-drives were in vain the next one asks for the cancellation; later ones say the same again."""
    (order_id,) = await store(service)
    for _ in range(4):
        await make_overdue(service)
        await sweeper(service, redrives=2).sweep()
    said = await said_of(service, order_id)
    assert [(each.name, each.redrive) for each in said] == [
        ("order.created", 1),
        ("order.created", 2),
        ("order.created", 3),
        ("order.cancel_requested", 3),
        ("order.created", 4),
        ("order.cancel_requested", 4),
    ]
    asked, repeated = (OrderCancelRequested.model_validate_json(said[index].body) for index in (3, 5))
    assert asked == repeated
    assert asked.reason is CancelReason.DEADLINE
    assert said[3].headers["x-redrive"] == 3


async def test_what_the_customer_asked_for_is_said_again(service: Service) -> None:
    """A cancellation that was asked for belongs to every re-drive, with its own reason, however old the order is."""
    (order_id,) = await store(service, age=2 * WEEK)
    async with service.database.session() as db, db.begin():
        order = (await db.exec(select(Order).with_for_update())).one()
        asked = order.request_cancel(CancelReason.CUSTOMER, STOREFRONT.actor, Facts.of(db))
    await sweeper(service, redrives=0).sweep()
    created, again = await said_of(service, order_id)
    assert (created.name, again.name, again.redrive) == ("order.created", "order.cancel_requested", 1)
    assert OrderCancelRequested.model_validate_json(again.body) == asked


async def test_an_old_order_expires(service: Service) -> None:
    """An order that is not final at the age of a week is to be cancelled, for that reason."""
    (order_id,) = await store(service, age=WEEK)
    await sweeper(service).sweep()
    asked = (await load(service, order_id)).cancel_requested
    assert asked is not None
    assert asked.reason is CancelReason.EXPIRY
    assert [(each.name, each.redrive) for each in await said_of(service, order_id)] == [
        ("order.created", 1),
        ("order.cancel_requested", 1),
    ]


async def test_two_sweepers_share_the_work(service: Service, run_in_memory: Run) -> None:
    """Two replicas that sweep at once say every overdue order again, none of them twice."""
    other = await run_in_memory(build, Settings, deadline_interval=NEVER, database_url=service.database.url)
    ids = await store(service, 2 * BATCH + 1)
    async with TestRabbitBroker(other.broker):
        found = await asyncio.gather(*(sweeper(each).sweep() for each in (service, other, service, other)))
    assert sum(found) == len(ids)
    async with service.database.session() as db:
        assert set(await db.exec(select(Order.redrives))) == {1}
        said = (await (await db.connection()).execute(text("SELECT order_id, redrive FROM outbox"))).all()
    assert sorted(said) == [(order_id, 1) for order_id in ids]


async def test_a_locked_order_is_passed_by(service: Service) -> None:
    """An order that is being worked on keeps nobody waiting: the next sweep takes it, if it is still overdue."""
    ids = await store(service, 3)
    async with service.database.session() as other:
        await other.exec(select(Order).where(col(Order.order_id) == ids[0]).with_for_update())
        assert await sweeper(service).sweep() == 2
    assert await sweeper(service).sweep() == 1


async def test_a_sweep_is_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many orders are overdue, a sweep takes some batches; those that came first, first."""
    monkeypatch.setattr(deadlines, "BATCH", 2)
    ids = await store(service, 2 * MOST_BATCHES + 3)
    assert await sweeper(service).sweep() == 2 * MOST_BATCHES
    async with service.database.session() as db:
        untouched = select(Order.order_id).where(col(Order.redrives) == 0).order_by(col(Order.order_id))
        assert (await db.exec(untouched)).all() == ids[-3:]
    assert await sweeper(service).sweep() == 3


async def test_overdue_orders_are_found_by_their_index(service: Service) -> None:
    """Looking for them reads an index of what is watched, not every order that ever was."""
    statement = "EXPLAIN SELECT * FROM orders WHERE next_deadline <= now() ORDER BY order_id LIMIT 100 FOR UPDATE"
    async with service.database.engine.connect() as connection:
        await connection.execute(text("SET enable_seqscan = off"))
        plan = "\n".join((await connection.execute(text(statement))).scalars())
    assert "orders_watched" in plan
