"""Payment's composition root: what it hears, whom it calls, where it runs."""

from messaging.service import Service
from payment import handlers
from payment.gateway import CardGateway, SimulatedGateway
from payment.models import Payment
from payment.settings import Settings


def build(settings: Settings) -> Service:
    """The service with its handlers; nothing is connected yet."""
    service = Service("payment", settings, row=Payment)
    gateway = CardGateway(SimulatedGateway(service.database, settings.gateway_latency), settings.gateway_timeout)
    service.handle(handlers.authorize_payment, prepare=gateway.authorize)
    service.handle(handlers.void_payment, prepare=gateway.void)
    service.handle(handlers.capture_payment, prepare=gateway.capture)
    return service


service = build(Settings())
app = service.app
