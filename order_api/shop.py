"""What can be done with orders: place one, look one up, ask for its cancellation. Knows no HTTP."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from contracts import CancelReason, Event, OrderCreated
from messaging.service import Service
from order_api import clock
from order_api.catalogue import Catalogue
from order_api.domain import Patience, price
from order_api.models import Order
from order_api.reading import answered, reading
from order_api.schemas import OrderView, PlaceOrder


class Shop:
    """The order API's use cases."""

    def __init__(self, service: Service, catalogue: Catalogue, patience: Patience) -> None:
        self._service = service
        self._patience = patience
        self.catalogue = catalogue

    async def place(self, wish: PlaceOrder) -> OrderCreated:
        """Accept an order; once this returns, the order and its event are committed, together.

        Raises Unpriceable when the lines make no order, and DatabaseUnavailable; after that one, the order may have
        been accepted or not.
        """
        return await answered(self._place(wish))

    async def _place(self, wish: PlaceOrder) -> OrderCreated:
        basket = price([(item.sku, item.quantity) for item in wish.items], wish.currency, await self.catalogue.prices())
        event = OrderCreated.about(
            uuid7(),
            customer_id=wish.customer_id,
            items=basket.lines,
            total=basket.total,
            payment_token=wish.payment_token,
            shipping_address=wish.shipping_address.as_said(),
        )

        async def store(db: AsyncSession) -> Sequence[Event]:
            deadline = self._patience.deadline(await clock.now(db), event.occurred_at, redrives=0)
            db.add(Order.of(event, deadline))
            return (event,)

        await self._service.execute(store)
        return event

    async def cancel(self, order_id: UUID, reason: CancelReason) -> OrderView | None:
        """Ask for the order's cancellation, unless that was done or it is final; return how it stands, if it exists.

        Whether it is cancelled or ready in the end is shipping's decision. Raises DatabaseUnavailable; after that, it
        may have been asked for or not.
        """
        return await answered(self._cancel(order_id, reason))

    async def _cancel(self, order_id: UUID, reason: CancelReason) -> OrderView | None:
        view: OrderView | None = None

        async def ask(db: AsyncSession) -> Sequence[Event]:
            nonlocal view
            wanted = select(Order).where(col(Order.order_id) == order_id).with_for_update()
            order = (await db.exec(wanted.execution_options(populate_existing=True))).one_or_none()
            event = None if order is None else order.request_cancel(reason)
            view = None if order is None else OrderView.of(order)
            return () if event is None else (event,)

        await self._service.execute(ask)
        return view

    async def find(self, order_id: UUID) -> Order | None:
        """Read the order with its facts, if there is one. Raises DatabaseUnavailable."""
        return await answered(self._find(order_id))

    async def _find(self, order_id: UUID) -> Order | None:
        async with reading(self._service.database) as db:
            return await db.get(Order, order_id)
