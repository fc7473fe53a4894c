"""What the generator takes from a service, and what follows for several of them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from contracts.event import Event
from messaging.pipeline import Route
from messaging.topology import DEFAULT_TIERS, Delay, Topology, milliseconds, topology


class Described(Protocol):
    """A service, as the document sees it; messaging.service.Service is one."""

    name: str
    routes: dict[str, Route]
    says: dict[str, type[Event]]
    settings: Any
    collects: bool
    """Whether it takes the dead letters of all queues into custody, and what nobody is bound to."""


class Landscape:
    """Services and what connects them."""

    def __init__(self, services: Sequence[Described]) -> None:
        self.services = services
        self.routes: Mapping[str, tuple[Described, Route]] = {
            queue: (service, route)
            for service in sorted(services, key=lambda each: each.name)
            for queue, route in sorted(service.routes.items())
        }
        self.producers: Mapping[str, Sequence[str]] = {
            name: sorted(service.name for service in services if name in service.says)
            for name in sorted({name for service in services for name in service.says})
        }
        self.custodian: Described | None = next((service for service in services if service.collects), None)
        events = {event for service in services for event in service.says.values()}
        events |= {route.event for _, route in self.routes.values()}
        self.events: Mapping[str, type[Event]] = {event.name: event for event in sorted(events, key=_name)}
        self.topology: Topology = topology(self.routes, self._delays())

    @property
    def heard(self) -> Mapping[str, type[Event]]:
        """The events that are handled here, by name."""
        heard = {route.event.name for _, route in self.routes.values()}
        return {name: event for name, event in self.events.items() if name in heard}

    def delays(self, route: Route) -> Sequence[Delay]:
        """The tiers of a route's retries, one after another."""
        return DEFAULT_TIERS if route.retry.tiers is None else route.retry.tiers

    def consumers(self, event: str) -> Iterator[str]:
        """The queues that receive an event."""
        return (queue for queue, (_, route) in self.routes.items() if route.event.name == event)

    def _delays(self) -> Sequence[Delay]:
        used = {delay for _, route in self.routes.values() for delay in self.delays(route)}
        return sorted(used, key=milliseconds)


def _name(event: type[Event]) -> str:
    return event.name
