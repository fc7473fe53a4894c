"""Facts in transactions that messages share: read by one statement, written by one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from itertools import product
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy.exc import InvalidRequestError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import Event
from messaging.away import Away
from messaging.inbox import Key
from messaging.order_row import OrderRow
from messaging.outcome import Reject
from messaging.service import Service
from messaging.tracing import Tracing
from messaging.unit import GroupExecutor, Rules, Work
from order_api.facts import Facts, preload
from order_api.handlers import record_fact
from order_api.models import Fact, Order
from tests.statements import statements_of
from tests.unit.order_api.orders import fact, load, store

WAY = ("payment.authorized", "inventory.reserved", "shipping.ready", "payment.captured", "inventory.shipped")


@pytest_asyncio.fixture
async def executor(service: Service) -> AsyncGenerator[GroupExecutor]:
    """Groups of up to a hundred, as the service makes them."""
    rules = Rules(size=100, grace=timedelta(seconds=2), row=Order, preload=preload)
    made = GroupExecutor(service.database, rules, Away(), Tracing(), lambda _: None)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()


def hearing(name: str, order_id: UUID, *, fails: bool = False) -> Work:
    """The work that a message about an order asks for; one that fails does so when its fact is recorded."""
    event = fact(name, order_id)

    async def run(db: AsyncSession, row: OrderRow | None) -> Sequence[Event]:
        await record_fact(event, row, db)  # type: ignore[arg-type]
        if fails:
            raise Reject("planted")
        return ()

    return Work(Key(event.event_id, f"order_api.{name}", 0), run, event, order_id)


async def timeline(service: Service, order_id: UUID) -> list[tuple[str, str | None, str]]:
    """What is stored of an order, by position."""
    wanted = select(Fact.name, Fact.status_before, Fact.status_after).where(col(Fact.order_id) == order_id)
    async with service.database.session() as db:
        return [*(await db.exec(wanted.order_by(col(Fact.position)))).all()]


async def test_a_group_shares_its_statements(service: Service, executor: GroupExecutor) -> None:
    """One reads facts, one writes them, for many messages; an order's come in their turn, each on top of the last."""
    ids = await store(service, 4)
    statements = statements_of(service.database)
    await asyncio.gather(*(executor.submit(hearing(name, order_id)) for order_id, name in product(ids, WAY)))
    assert len([statement for statement in statements if "facts" in statement]) == 2
    for order_id in ids:
        assert await timeline(service, order_id) == [
            ("order.created", None, "pending"),
            ("payment.authorized", "pending", "authorized"),
            ("inventory.reserved", "authorized", "reserved"),
            ("shipping.ready", "reserved", "ready"),
            ("payment.captured", "ready", "ready"),
            ("inventory.shipped", "ready", "ready"),
        ]
        order = await load(service, order_id)
        assert (order.status, order.settled, order.next_deadline) == ("ready", True, None)


async def test_what_a_failed_attempt_recorded_is_forgotten(service: Service, executor: GroupExecutor) -> None:
    """One of a group fails and the others run again: their facts are stored once, and the failed one's never."""
    ids = await store(service, 5)
    works = [hearing(WAY[0], order_id, fails=number == 3) for number, order_id in enumerate(ids)]
    works += [hearing(WAY[1], order_id) for order_id in ids]
    outcomes = await asyncio.gather(*(executor.submit(work) for work in works), return_exceptions=True)
    assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Reject)] == [3]
    for number, order_id in enumerate(ids):
        names = [name for name, *_ in await timeline(service, order_id)]
        assert names == ["order.created", *(() if number == 3 else WAY[:1]), WAY[1]]


async def test_a_repetition_of_one_that_was_recorded_before_is_no_second_fact(
    service: Service, executor: GroupExecutor
) -> None:
    """Under another re-drive number the inbox lets it pass; what is known of the order does not."""
    (order_id,) = await store(service)
    for redrive in (0, 1):
        work = hearing(WAY[0], order_id)
        work.key = work.key._replace(redrive=redrive)
        await executor.submit(work)
        assert work.applied
    assert [name for name, *_ in await timeline(service, order_id)] == ["order.created", WAY[0]]


async def test_facts_that_were_not_read_are_no_empty_set(service: Service) -> None:
    """An order is never judged by facts that nobody read: that is an error in either way of asking."""
    (order_id,) = await store(service)
    async with service.database.session() as db:
        order = (await db.exec(select(Order))).one()
        with pytest.raises(InvalidRequestError, match="lazy='raise'"):
            _ = order.settled
        with pytest.raises(KeyError):
            order.record(fact(WAY[0], order_id), Facts.of(db))
        await Facts.of(db).read(db, [order_id])
        assert Facts.of(db).known(order_id) == {"order.created"}
    with pytest.raises(KeyError):
        Facts().known(uuid4())
