"""`python -m inventory.seed`: the first stocktaking. Adds the skus that are missing, and changes none that is there."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from inventory.models import Stock
from inventory.settings import Settings
from messaging.database import Database

STOCK = Path(__file__).with_name("stock.json")
"""Pieces on hand of each sku."""


def read(path: Path = STOCK) -> dict[str, int]:
    """Read a stocktaking. Raises ValidationError unless it maps skus to whole numbers."""
    return TypeAdapter(dict[str, int]).validate_json(path.read_bytes())


async def seed(database: Database, on_hand: Mapping[str, int]) -> list[str]:
    """Insert the skus that are missing, in one transaction. Returns them, sorted."""
    rows = [
        {"sku": sku, "on_hand": pieces, "initial": pieces, "reserved": 0, "received": 0, "shipped": 0}
        for sku, pieces in sorted(on_hand.items())
    ]
    statement = insert(Stock).values(rows).on_conflict_do_nothing().returning(col(Stock.sku))
    async with database.session() as db, db.begin():
        return sorted((await db.exec(statement)).scalars().all())


async def _main() -> None:
    database = Database(Settings().database_url.get_secret_value(), name="inventory")
    on_hand = read()
    added = await seed(database, on_hand)
    await database.close()
    for sku in added:
        print(f"inventory: {sku:10} {on_hand[sku]:>7} pieces")  # noqa: T201 - a command line speaks on standard output
    print(f"inventory: {len(added)} skus added, {len(on_hand) - len(added)} were there")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_main())
