"""Inventory's composition root: what it hears, and which rows a group of messages locks."""

from inventory import handlers
from inventory.models import Reservation
from inventory.settings import Settings
from inventory.stock import preload
from messaging.retry import RetryPolicy
from messaging.service import Service


def build(settings: Settings) -> Service:
    """Compose the service with its handlers; nothing is connected yet."""
    service = Service("inventory", settings, row=Reservation, preload=preload)
    service.handle(handlers.reserve_stock)
    to_the_end = RetryPolicy(never_park=True)  # stock must not stay reserved for an order that has ended
    service.handle(handlers.release_stock, retry=to_the_end)
    service.handle(handlers.ship_stock, retry=to_the_end)
    service.handle(handlers.record_receipt)
    return service


service = build(Settings())
app = service.app
