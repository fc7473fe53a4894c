"""Who says what to whom: the contracts and the services agree with the page that is written by hand."""

from pathlib import Path

import pytest

from contracts import EVENTS, PRODUCERS, RECEIPT
from devstack.document import SERVICES
from messaging.service import Service
from messaging.topology import queue_name

of_every_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)

_LINES = Path(__file__).with_name("events.md").read_text(encoding="utf-8").splitlines()
_ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in _LINES if line.startswith("| ")][2:]

PRODUCER = {event: producer for event, producer, _ in _ROWS}
CONSUMERS = {event: frozenset(consumers.split(", ")) for event, _, consumers in _ROWS}


def test_the_events_are_those_of_the_design() -> None:
    """Each event has one producer, the one that the design names, but for the receipt, which all services write."""
    said = {event.name: producer for producer, events in PRODUCERS.items() for event in events}
    assert said | {RECEIPT.name: "every service"} == PRODUCER
    assert {name: event.name for name, event in EVENTS.items()} == {name: name for name in PRODUCER}


def test_an_event_lives_in_its_producers_module() -> None:
    """What a service says is in the module of its name."""
    for producer, events in PRODUCERS.items():
        assert {event.__module__ for event in events} == {f"contracts.{producer}"}


@of_every_service
def test_a_service_says_what_the_design_says(service: Service) -> None:
    """A service publishes its own events, all of them, and nobody else's."""
    assert set(service.publishers) == {
        event for event, producer in PRODUCER.items() if producer in {service.name, "every service"}
    }


@of_every_service
def test_a_service_hears_what_the_design_says(service: Service) -> None:
    """A service has one queue, `<service>.<event>`, for each event that it is to hear."""
    heard = {event for event, consumers in CONSUMERS.items() if service.name in consumers}
    assert {queue: route.event.name for queue, route in service.routes.items()} == {
        queue_name(service.name, event): event for event in heard
    }


def test_every_event_is_heard() -> None:
    """No event is said to nobody: it would end among the unrouted."""
    heard = {route.event for service in SERVICES for route in service.routes.values()}
    assert heard == set(EVENTS.values())
