"""Payment as a whole: its queues, and how long it tries."""

import payment.app
from contracts import RECEIPT, PaymentAuthorized, PaymentCaptured, PaymentCaptureFailed, PaymentDeclined, PaymentVoided
from payment.settings import Settings


def test_it_hears_and_says_what_the_event_table_lists() -> None:
    """Payment has one queue for each event that concerns it, and publishes its own five, and receipts."""
    service = payment.app.build(Settings())
    assert set(service.routes) == {
        "payment.order.created",
        "payment.inventory.rejected",
        "payment.inventory.released",
        "payment.shipping.ready",
    }
    own = (PaymentAuthorized, PaymentDeclined, PaymentCaptured, PaymentCaptureFailed, PaymentVoided)
    assert set(service.publishers) == {event.name for event in (*own, RECEIPT)}


def test_compensation_and_capture_are_never_given_up() -> None:
    """Held money is let go of or taken, however long the gateway is away; a new order is parked in the end."""
    routes = payment.app.build(Settings()).routes
    assert {queue: route.retry.never_park for queue, route in routes.items()} == {
        "payment.order.created": False,
        "payment.inventory.rejected": True,
        "payment.inventory.released": True,
        "payment.shipping.ready": True,
    }
