"""What can be done with orders and goods: place, look up, list, cancel, receive. Knows no HTTP."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from contracts import CancelReason, Event, OrderCreated, StockReceived
from messaging.service import Service
from order_api import clock
from order_api.catalogue import Catalogue
from order_api.domain import Patience, Unpriceable, price
from order_api.facts import Facts
from order_api.idempotency import Answer, Key, Repetitions
from order_api.listing import Page, Wanted, page
from order_api.live import Live
from order_api.models import WITH_FACTS, Order
from order_api.pressure import Pressure
from order_api.schemas import OrderView, PlaceOrder, ReceiptView
from rest.callers import Caller
from rest.reading import answered, snapshot

log = structlog.get_logger(__name__)


class UnknownProduct(Exception):  # noqa: N818 - an outcome
    """The shop has no such product."""


class Shop:
    """The order API's use cases. All of them raise DatabaseUnavailable."""

    def __init__(
        self, service: Service, catalogue: Catalogue, patience: Patience, pressure: Pressure, live: Live
    ) -> None:
        self._service = service
        self._patience = patience
        self.pressure = pressure
        self._repetitions = Repetitions(service.execute)
        self.catalogue = catalogue
        self.live = live

    async def place(self, wish: PlaceOrder, caller: Caller, key: Key | None = None) -> Answer[OrderView]:
        """Accept an order; once this returns, the order and its event are committed, together.

        Raises Unpriceable when the lines make no order, Overloaded when there is too much to do already, and what
        Repetitions raises for the key. After DatabaseUnavailable, the order may have been accepted or not; asking
        again under the same key tells.
        """
        with self.pressure.taken():
            return await answered(self._place(wish, caller, key))

    async def _place(self, wish: PlaceOrder, caller: Caller, key: Key | None) -> Answer[OrderView]:
        try:
            wanted = [(item.sku, item.quantity) for item in wish.items]
            basket = price(wanted, wish.currency, await self.catalogue.prices())
        except Unpriceable:  # the shop has changed since the first request, perhaps
            earlier = await self._repetitions.answer(self._service.database, key, OrderView)
            if earlier is None:
                raise
            return earlier
        event = OrderCreated.about(
            uuid7() if key is None else key.made,
            customer_id=wish.customer_id,
            items=basket.lines,
            total=basket.total,
            payment_token=wish.payment_token,
            shipping_address=wish.shipping_address.as_said(),
        )
        view = OrderView.accepted(event)
        trace = self._service.tracing.context({}).get("traceparent")

        async def store(db: AsyncSession) -> tuple[OrderView, Sequence[Event]]:
            deadline = self._patience.deadline(await clock.now(db), event.occurred_at, redrives=0)
            Facts.of(db).place(event, caller, deadline, trace)
            return view, (event,)

        answer = await self._repetitions.run(key, OrderView, store)
        return answer or Answer(view)

    async def cancel(
        self, order_id: UUID, caller: Caller, key: Key | None = None, reason: CancelReason = CancelReason.CUSTOMER
    ) -> Answer[OrderView] | None:
        """Ask for the order's cancellation, unless that was done or it is final; return how it stands, if it exists.

        Whether it is cancelled or ready in the end is shipping's decision. Raises what Repetitions raises for the key.
        After DatabaseUnavailable, it may have been asked for or not.
        """

        async def ask(db: AsyncSession) -> tuple[OrderView | None, Sequence[Event]]:
            wanted = select(Order).where(col(Order.order_id) == order_id).with_for_update()
            wanted = wanted.options(WITH_FACTS)
            order = (await db.exec(wanted.execution_options(populate_existing=True))).one_or_none()
            if order is None or not caller.sees(order.client_id):
                return None, ()
            event = order.request_cancel(reason, caller.actor, Facts.of(db))
            return OrderView.of(order), () if event is None else (event,)

        return await answered(self._repetitions.run(key, OrderView, ask))

    async def receive(self, sku: str, quantity: int, caller: Caller, key: Key | None = None) -> Answer[ReceiptView]:
        """Tell inventory that goods arrived; it books each receipt once. Raises UnknownProduct, and for the key."""
        if sku not in await self.catalogue.prices():
            raise UnknownProduct(sku)
        event = StockReceived(
            event_id=uuid4() if key is None else key.made,
            occurred_at=datetime.now(UTC),
            sku=sku,
            quantity=quantity,
        )
        view = ReceiptView(receipt_id=event.event_id, sku=sku, quantity=quantity, received_at=event.occurred_at)

        async def say(_: AsyncSession) -> tuple[ReceiptView, Sequence[Event]]:
            return view, (event,)

        answer = await answered(self._repetitions.run(key, ReceiptView, say)) or Answer(view)
        if not answer.repeated:
            log.info("stock received", sku=sku, quantity=quantity, receipt=str(view.receipt_id), by=caller.actor)
        return answer

    async def find(self, order_id: UUID, caller: Caller) -> Order | None:
        """Read the order with its facts, if there is one that the caller may see."""
        order = await answered(self._find(order_id))
        return order if order is not None and caller.sees(order.client_id) else None

    async def _find(self, order_id: UUID) -> Order | None:
        async with snapshot(self._service.database) as db:
            return await db.get(Order, order_id, options=[WITH_FACTS])

    async def page(self, wanted: Wanted, caller: Caller) -> Page:
        """Read some of the orders that the caller may see."""
        return await answered(self._page(wanted, caller))

    async def _page(self, wanted: Wanted, caller: Caller) -> Page:
        async with snapshot(self._service.database) as db:
            return await page(db, wanted, caller)
