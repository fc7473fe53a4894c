"""What the model takes for granted about the code around the tables is so."""

from collections.abc import Callable

import pytest

from contracts import OrderCancelRequested
from inventory.app import service as inventory
from messaging.service import Service
from payment.app import service as payment
from shipping.app import service as shipping
from shipping.domain import State, Verdict, must_undo
from shipping.handlers import cancel_shipment
from shipping.models import Shipment
from tests.model.system import CALLS, COMPENSATION, EVENTS, Delivery, System

SERVICES = (payment, inventory, shipping)


def name_of(function: Callable[..., object] | None) -> str | None:
    """Name a remote call."""
    return None if function is None else function.__name__


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_consumes_what_its_table_has_a_column_for(service: Service) -> None:
    """No event of an order reaches a handler without a table, and no column is without a queue."""
    modelled = {str(delivery) for delivery in System().deliveries(EVENTS) if delivery.service == service.name}
    assert {queue for queue, route in service.routes.items() if route.event in EVENTS} == modelled


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_calls_out_where_the_model_does(service: Service) -> None:
    """Remote calls are prepared for the same queues, and they are the same calls."""
    called = {queue: name_of(route.prepare) for queue, route in service.routes.items() if route.prepare}
    modelled = {str(Delivery(*consumer)): call for consumer, call in CALLS.items() if consumer[0] == service.name}
    assert called == modelled


@pytest.mark.parametrize("queue", sorted(COMPENSATION, key=str), ids=str)
def test_a_compensation_is_never_parked_for_a_passing_failure(queue: Delivery) -> None:
    """The queues that alone can hold up a cancelled order keep a message in the last tier until it passes."""
    routes = {name: route for service in SERVICES for name, route in service.routes.items()}
    assert routes[str(queue)].retry.never_park


def test_a_booking_is_undone_only_where_it_came_too_late() -> None:
    """Of all states and answers, only a booking of a cancelled order is undone."""
    assert [(state, verdict) for state in State for verdict in Verdict if must_undo(state, verdict)] == [
        (State.CANCELLED, Verdict.BOOKED)
    ]


async def test_a_cancellation_tells_the_carrier_when_the_model_says_so() -> None:
    """Shipping's handler leaves a note for the carrier exactly if the model's does."""
    event = OrderCancelRequested.example()
    shipment = Shipment(order_id=event.order_id, state=State.NEW, undo=False, said={}, anomalies=[])
    await cancel_shipment(event, shipment)
    assert shipment.state == State.CANCELLED
    assert shipment.undo == System().cancel_fences
