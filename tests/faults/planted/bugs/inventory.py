"""Bugs of inventory."""

from typing import Any

from inventory import handlers
from inventory.models import Stock
from tests.faults.planted.bugs.planting import plant


def forgets_to_release() -> None:
    """Say that an order's goods were released, and leave them reserved."""

    def released(_: Stock, quantity: int) -> None:
        del quantity

    plant(Stock, "release", lambda _: released)


def sells_what_is_not_there() -> None:
    """Find no shortage, whatever is wanted."""

    def none(*_: Any) -> tuple[()]:
        return ()

    plant(handlers, "shortages", lambda _: none)
