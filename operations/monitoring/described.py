"""What the AsyncAPI document says that monitoring needs to know: queues, services, and which event causes which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from messaging.asyncapi import reading
from messaging.topology import Queue, Topology, milliseconds

NOBODY = "unrouted"
"""In place of a service, for events that nobody is bound to, once they are in custody."""


@dataclass(frozen=True, slots=True)
class Described:
    """The system as it is documented."""

    topology: Topology
    consumers: Mapping[str, int]
    """The queues from which a handler receives, each with its prefetch."""
    services: tuple[str, ...]
    causes: frozenset[tuple[str, str]]
    """(event, event that follows from it)."""

    @property
    def queues(self) -> tuple[Queue, ...]:
        """Every queue."""
        return self.topology.queues

    def of_kind(self, kind: str) -> tuple[Queue, ...]:
        """The queues of one kind."""
        return tuple(queue for queue in self.queues if queue.kind == kind)

    def with_tiers(self, tiers: Sequence[str]) -> Described:
        """The same with other retry tiers; unchanged for none."""
        if not tiers:
            return self
        topology = self.topology.with_tiers(tiers)
        return Described(topology, self.consumers, self.services, self.causes)


def describe(document: Mapping[str, Any]) -> Described:
    """Read it."""
    operations: Mapping[str, Any] = document["operations"]
    causes: set[tuple[str, str]] = set()
    for operation in operations.values():
        if operation["action"] == "receive":
            causes |= {
                (_event(received), _event(operations[_last(sent)]["messages"][0]))
                for received in operation.get("messages", ())
                for sent in operation.get("x-sends", ())
            }
    return Described(
        topology=reading.topology_of(document),
        consumers=reading.consumers_of(document),
        services=tuple(sorted({tag["name"] for operation in operations.values() for tag in operation["tags"]})),
        causes=frozenset(causes),
    )


def read_description(path: Path = reading.DOCUMENT) -> Described:
    """What the document in a file says."""
    return describe(reading.load(path))


def service_of(queue: str) -> str:
    """The service that a work queue or its dead-letter queue belongs to."""
    return queue.partition(".")[0]


def _last(reference: Mapping[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _event(message: Mapping[str, str]) -> str:
    """The event's name without its version: `order.created` for a reference to `order.created.v1`."""
    return _last(message).rpartition(".")[0]


def seconds_of_tier(tier: Queue) -> float:
    """How long a message waits in a retry tier."""
    return int(tier.arguments["x-message-ttl"]) / milliseconds("1s")
