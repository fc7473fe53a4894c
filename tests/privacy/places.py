"""Orders whose personal data is marked, and the search for the marks: in every column, whatever it is made for."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from messaging import erasure
from order_api import erasure as shop_erasure
from order_api.app import open_shop
from order_api.idempotency import Key
from order_api.schemas import PlaceOrder
from tests.machine.processes import SERVICES, order_api_settings
from tests.machine.world import STOREFRONT, World

MARK = "MARKED"
CUSTOMER = f"{MARK}-customer"
CARD = f"tok_{MARK}"
"""The gateway declines it."""
ADDRESS = {
    "name": f"{MARK} Ada",
    "line1": f"{MARK} St 1",
    "line2": f"{MARK} yard",
    "city": f"{MARK}town",
    "postal_code": f"{MARK}-1",
    "country": "DE",
}


def wish(*, card: str = "tok_ok", sku: str = "MUG-01", customer: str = CUSTOMER, **address: str) -> dict[str, Any]:
    """An order whose personal data is marked."""
    return {
        "customer_id": customer,
        "currency": "EUR",
        "items": [{"sku": sku, "quantity": 1}],
        "payment_token": card,
        "shipping_address": {**ADDRESS, **address},
    }


KINDS = [
    wish(),
    wish(card=CARD),
    wish(sku="SOLD-01"),
    wish(postal_code="00000"),
]
"""Ready, rejected, cancelled for want of stock, undeliverable."""


async def place(world: World, body: dict[str, Any], number: int) -> UUID:
    """Place an order under an idempotency key."""
    key = Key(STOREFRONT.client_id, f"{MARK}-{number}", str(body).encode())
    shop = open_shop(world.shop, order_api_settings(""))
    answer = await shop.place(PlaceOrder.model_validate(body), STOREFRONT, key)
    await world.shop.sent()
    return answer.body.order_id


async def places(world: World, mark: str = MARK) -> set[str]:
    """Every column of every table in which a mark is found, as `service.table.column`."""
    return {f"{service}.{place}" for service in SERVICES for place in await _columns(world, service, mark)}


async def _columns(world: World, service: str, mark: str) -> list[str]:
    columns = await world.sql(
        service, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    )
    found: list[str] = []
    for name, column in ((row["table_name"], row["column_name"]) for row in columns):
        search = f'SELECT FROM "{name}" WHERE "{column}"::text LIKE $1 LIMIT 1'
        if await world.sql(service, search, f"%{mark}%"):
            found.append(f"{name}.{column}")
    return found


async def erase(world: World, order_ids: Collection[UUID]) -> None:
    """What `./run erase` does in the databases."""
    for service in ("payment", "inventory", "shipping"):
        await erasure.erase(world.urls[service], erasure.tables_of(service), order_ids)
    await shop_erasure.erase(world.urls["order_api"], order_ids, "the test")


async def erased(world: World) -> Sequence[shop_erasure.Erased]:
    """What is recorded."""
    return await shop_erasure.erased(world.shop.database)


async def found(world: World, customer: str = CUSTOMER, client: str | None = None) -> shop_erasure.Found:
    """A customer's orders."""
    return await shop_erasure.find(world.shop.database, customer, client)
