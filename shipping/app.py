"""Shipping's composition root: what it hears, whom it calls, what it does on its own."""

from messaging.service import Service
from shipping import handlers
from shipping.gateway import Carrier
from shipping.models import Shipment
from shipping.settings import Settings
from shipping.simulator import SimulatedCarrier
from shipping.undo import UndoWorker


def build(settings: Settings) -> Service:
    """Compose the service with its handlers; nothing is connected yet."""
    service = Service("shipping", settings, row=Shipment)
    carrier = Carrier(
        SimulatedCarrier(service.database, settings.carrier_latency),
        settings.carrier_timeout,
        breaker_threshold=settings.carrier_breaker_threshold,
        breaker_reset=settings.carrier_breaker_reset,
    )
    service.handle(handlers.book_shipment, prepare=carrier.book)
    service.handle(handlers.cancel_shipment)
    service.worker("undo", UndoWorker(service.database, service.execute, carrier, settings.undo_interval).run)
    return service


service = build(Settings())
app = service.app
