"""`python -m order_api.seed`: brings the products of products.json into the order API's database.

May be run at any time and repeatedly: names and prices are set to what the file says, availability is left alone, and
products that the file does not name stay. On a local stack the environment gives two API keys to make good, too.
"""

import asyncio
from pathlib import Path

from pydantic import BaseModel, TypeAdapter
from rich.console import Console
from sqlalchemy.dialects.postgresql import insert

from contracts.values import CurrencyCode, MinorUnits, Sku
from messaging.database import Database
from order_api.models import Product
from order_api.settings import Settings
from rest import keys
from rest.callers import Scope

FILE = Path(__file__).with_name("products.json")


class Listing(BaseModel):
    """A product in the file."""

    sku: Sku
    name: str
    price: MinorUnits
    currency: CurrencyCode


def listings() -> list[Listing]:
    """Read the file. Raises ValidationError, naming the place, if it is not well-formed."""
    return TypeAdapter(list[Listing]).validate_json(FILE.read_bytes())


async def seed(database: Database, products: list[Listing]) -> None:
    """Insert the products, or set name and price of those that are there."""
    statement = insert(Product).values([product.model_dump() for product in products])
    columns = {column: statement.excluded[column] for column in ("name", "price", "currency")}
    async with database.session() as db, db.begin():
        await db.exec(statement.on_conflict_do_update(index_elements=["sku"], set_=columns))


async def _main() -> None:
    products, settings = listings(), Settings()
    database = Database(settings.database_url.get_secret_value(), name="order_api", pool_size=1)
    client, operator = settings.development_client_key, settings.development_operator_key
    try:
        await seed(database, products)
        if client and operator:
            usual, everything = {Scope.READ, Scope.WRITE}, set(Scope)
            given = {
                "local": (usual, client.get_secret_value()),
                "local-operator": (everything, operator.get_secret_value()),
            }
            await keys.develop(database, given)
    finally:
        await database.close()
    console = Console()
    for product in products:
        console.print(f"{product.sku:<10} {product.name:<20} {product.price:>8} {product.currency}", highlight=False)
    console.print(f"{len(products)} products are in the order API's catalogue.", highlight=False)


if __name__ == "__main__":
    asyncio.run(_main())
