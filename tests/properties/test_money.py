"""Money over any history, on real tables: what was authorized is captured, voided or open, at every moment."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from faststream.rabbit import TestRabbitBroker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, update

from contracts import InventoryRejected, InventoryReleased, Money, OrderCreated, OrderEvent, ShippingReady
from messaging.outcome import Retry
from messaging.service import Service
from messaging.testing import envelope
from payment.app import build
from payment.models import AccountStatus, GatewayAccount, Payment
from payment.settings import Settings

pytestmark = pytest.mark.database

AUTHORIZED = "payment.authorized"
OPEN = {AccountStatus.HELD, AccountStatus.EXPIRED, AccountStatus.UNPAID}
PARTS = OPEN | {AccountStatus.CAPTURED, AccountStatus.VOIDED}
CARDS = ("tok_ok", "tok_ok", "tok_flaky", "tok_capture_refused", "tok_declined")


@dataclass(frozen=True)
class Placed:
    """An order, and what becomes of it: shipping decides once between ready and undone."""

    card: str
    total: Money
    end: type[OrderEvent]
    order_id: UUID = field(default_factory=uuid4)

    @property
    def created(self) -> OrderEvent:
        """The event that it was placed."""
        changes = {"payment_token": self.card, "total": self.total, **self._identity(OrderCreated)}
        return OrderCreated.example().model_copy(update=changes)

    @property
    def ended(self) -> OrderEvent:
        """The event that it is ready, or undone."""
        return self.end.example().model_copy(update=self._identity(self.end))

    def _identity(self, kind: type[OrderEvent]) -> dict[str, UUID]:
        return {"order_id": self.order_id, "event_id": kind.id_for(self.order_id)}


@dataclass(frozen=True)
class Books:
    """What payment and the gateway have of an order."""

    payment: Payment | None
    account: GatewayAccount | None

    @property
    def authorized(self) -> bool:
        """Whether payment ever said that the money is held."""
        return self.payment is not None and AUTHORIZED in self.payment.said


@pytest_asyncio.fixture
async def service(run_in_memory: Callable[..., Awaitable[Service]]) -> Service:
    """Payment with its simulated gateway, whose errors open no breaker."""
    return await run_in_memory(build, Settings, gateway_latency=0, gateway_breaker_threshold=1_000)


async def books(service: Service, placed: Placed) -> Books:
    """Read them."""
    async with service.database.session() as db:
        return Books(await db.get(Payment, placed.order_id), await db.get(GatewayAccount, str(placed.order_id)))


async def hear(service: Service, events: Sequence[OrderEvent]) -> None:
    """Tell payment all of it at once; what fails for a passing reason may come again."""
    async with TestRabbitBroker(service.broker) as br:
        results = await asyncio.gather(*(br.publish(e, **envelope(e)) for e in events), return_exceptions=True)
    assert all(result is None or isinstance(result, Retry) for result in results), results


async def expire(service: Service, placed: Placed) -> None:
    """Let the hold lapse, if there is one."""
    held = (col(GatewayAccount.key) == str(placed.order_id), col(GatewayAccount.status) == AccountStatus.HELD)
    async with service.database.session() as db, db.begin():
        await db.exec(update(GatewayAccount).where(*held).values(status=AccountStatus.EXPIRED))


async def check(service: Service, orders: Sequence[Placed]) -> None:
    """Per order and in total: authorized = captured + voided + open; captured are only orders that are ready."""
    authorized, parts = Counter[str](), Counter[str]()
    for placed in orders:
        found = await books(service, placed)
        status = None if found.account is None else found.account.status
        if found.authorized:
            assert found.account is not None
            assert status in PARTS
            assert (found.account.amount, found.account.currency) == (placed.total.amount, placed.total.currency)
            authorized[placed.total.currency] += placed.total.amount
            parts[found.account.currency or ""] += found.account.amount or 0
        else:
            assert status not in OPEN | {AccountStatus.CAPTURED}, "held or taken, and nobody was told"
        assert status != AccountStatus.CAPTURED or placed.end is ShippingReady
    assert authorized == parts


ORDERS = st.lists(
    st.builds(
        Placed,
        card=st.sampled_from(CARDS),
        total=st.builds(Money, amount=st.integers(0, 10**15), currency=st.sampled_from(["EUR", "JPY"])),
        end=st.sampled_from([ShippingReady, ShippingReady, InventoryRejected, InventoryReleased]),
        order_id=st.uuids(version=4),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda placed: placed.order_id,
)
WAVES = st.lists(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["created", "ended", "expired"])), min_size=3, max_size=8),
    min_size=3,
    max_size=6,
)
"""What happens at once, again and again: to which order, and what."""


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # every example has orders of its own
)
@given(placed=ORDERS, waves=WAVES)
async def test_what_was_authorized_is_captured_voided_or_open(
    service: Service, placed: list[Placed], waves: list[list[tuple[int, str]]]
) -> None:
    """After every wave of events, early, late, repeated and concurrent, no money is missing and none is taken twice."""
    orders = [Placed(each.card, each.total, each.end) for each in placed]  # an example that is run again is new
    for wave in waves:
        events: list[OrderEvent] = []
        for number, what in wave:
            order = orders[number % len(orders)]
            if what == "created":
                events.append(order.created)
            elif what == "expired":
                await expire(service, order)
            elif order.end is not ShippingReady or (await books(service, order)).authorized:
                events.append(order.ended)  # shipping hears only of what was authorized
        await hear(service, events)
        await check(service, orders)


async def test_a_discrepancy_is_found(service: Service) -> None:
    """The property above can fail: an account that is no longer what payment said is noticed."""
    placed = Placed("tok_ok", Money(amount=2580, currency="EUR"), InventoryReleased)
    await hear(service, [placed.created])
    await check(service, [placed])
    for change in ({"amount": 2579}, {"amount": 2580, "status": "captured"}, {"status": "declined"}):
        async with service.database.session() as db, db.begin():
            await db.exec(update(GatewayAccount).where(col(GatewayAccount.key) == str(placed.order_id)).values(change))
        with pytest.raises(AssertionError):
            await check(service, [placed])
