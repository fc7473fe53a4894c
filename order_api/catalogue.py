"""The shop's products and their prices, in memory for those who order."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from sqlmodel import select

from contracts import Money
from messaging.database import Database, DatabaseUnavailable
from order_api.models import Product
from rest.reading import answered, reading

log = structlog.get_logger(__name__)


class Catalogue:
    """Prices at most `interval` seconds old, or as old as the database has been away."""

    def __init__(self, database: Database, interval: float) -> None:
        self._database = database
        self._interval = interval
        self._prices: Mapping[str, Money] = {}
        self._first_load = asyncio.Lock()

    async def prices(self) -> Mapping[str, Money]:
        """Return the price of a piece by sku. Raises DatabaseUnavailable if they were never read and cannot be now."""
        if not self._prices:
            async with self._first_load:
                if not self._prices:
                    await self.refresh()
        return self._prices

    async def products(self) -> Sequence[Product]:
        """Read every product as the database has it now, by sku. Raises DatabaseUnavailable."""
        return await answered(self._read())

    async def refresh(self) -> None:
        """Read the prices anew. Raises DatabaseUnavailable and keeps those that it has."""
        self._prices = {product.sku: product.money for product in await self.products()}

    async def _read(self) -> Sequence[Product]:
        async with reading(self._database) as db:
            return (await db.exec(select(Product).order_by(Product.sku))).all()

    async def keep_fresh(self) -> None:
        """Read the prices anew, again and again."""
        while True:
            try:
                await self.refresh()
            except DatabaseUnavailable as away:
                log.warning("prices_not_refreshed", reason=str(away))
            await asyncio.sleep(self._interval)
