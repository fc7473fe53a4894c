"""Bugs of the order API."""

from order_api.routes import orders
from tests.faults.planted.bugs.planting import plant


def ignores_the_key() -> None:
    """Take every request for a new one, whatever idempotency key it has."""

    def no_key(*_: object) -> None:
        return None

    plant(orders, "key_of", lambda _: no_key)
