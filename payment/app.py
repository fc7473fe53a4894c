"""Payment's composition root: what it hears, whom it calls, where it runs."""

from messaging.retry import RetryPolicy
from messaging.service import Service
from payment import handlers
from payment.gateway import CardGateway
from payment.models import Payment
from payment.settings import Settings
from payment.simulator import SimulatedGateway


def build(settings: Settings) -> Service:
    """Compose the service with its handlers; nothing is connected yet."""
    service = Service("payment", settings, row=Payment)
    gateway = CardGateway(
        SimulatedGateway(service.database, settings.gateway_latency),
        settings.gateway_timeout,
        breaker_threshold=settings.gateway_breaker_threshold,
        breaker_reset=settings.gateway_breaker_reset,
    )
    service.handle(handlers.authorize_payment, prepare=gateway.authorize)
    to_the_end = RetryPolicy(never_park=True)  # money must not stay held, nor untaken
    service.handle(handlers.void_payment, prepare=gateway.void, retry=to_the_end)
    service.handle(handlers.capture_payment, prepare=gateway.capture, retry=to_the_end)
    return service


service = build(Settings())
app = service.app
