"""What can be done with orders: place one, look one up. Knows no HTTP."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from contracts import Event, OrderCreated
from messaging.service import Service
from order_api.catalogue import Catalogue
from order_api.domain import price
from order_api.models import Order
from order_api.reading import answered, reading
from order_api.schemas import PlaceOrder


class Shop:
    """The order API's use cases."""

    def __init__(self, service: Service, catalogue: Catalogue) -> None:
        self._service = service
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
            db.add(Order.of(event))
            return (event,)

        await self._service.execute(store)
        return event

    async def find(self, order_id: UUID) -> Order | None:
        """Read the order with its facts, if there is one. Raises DatabaseUnavailable."""
        return await answered(self._find(order_id))

    async def _find(self, order_id: UUID) -> Order | None:
        async with reading(self._service.database) as db:
            return await db.get(Order, order_id)
