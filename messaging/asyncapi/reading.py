"""The document, read: the topology and the consumers that it describes. Needs none of the services."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from messaging.asyncapi.profile import ARGUMENTS, BINDINGS, KIND, PREFETCH
from messaging.topology import Binding, Exchange, Queue, Topology

DOCUMENT = Path("asyncapi/asyncapi.json")
"""Where the committed document is, from the root of the checkout or image."""


class ContradictionError(ValueError):
    """The document states one thing in two ways."""


def load(path: Path = DOCUMENT) -> Mapping[str, Any]:
    """The document in a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def topology_of(document: Mapping[str, Any]) -> Topology:
    """The topology that the channels' bindings describe, sorted by name within each kind.

    Raises ContradictionError when two channels differ about an exchange, and pydantic's ValidationError.
    """
    exchanges: dict[str, Exchange] = {}
    queues: dict[str, Queue] = {}
    bindings: list[Binding] = []
    for channel in document["channels"].values():
        amqp = channel["bindings"]["amqp"]
        if amqp["is"] == "routingKey":
            stated = amqp["exchange"]
            exchange = Exchange(name=stated["name"], type=stated["type"], arguments=stated[ARGUMENTS])
            if exchanges.setdefault(exchange.name, exchange) != exchange:
                raise ContradictionError(f"channels differ about the exchange {exchange.name}")
        else:
            stated = amqp["queue"]
            queue = Queue(name=stated["name"], kind=stated[KIND], arguments=stated[ARGUMENTS])
            if queue.name in queues:
                raise ContradictionError(f"two channels are the queue {queue.name}")
            queues[queue.name] = queue
            bindings += (
                Binding(exchange=each["exchange"], queue=queue.name, routing_key=each["routingKey"])
                for each in amqp[BINDINGS]
            )
    described = Topology(exchanges=tuple(exchanges.values()), queues=tuple(queues.values()), bindings=tuple(bindings))
    return described.by_name()


def read_topology(path: Path = DOCUMENT) -> Topology:
    """The topology that the document in a file describes."""
    return topology_of(load(path))


def consumers_of(document: Mapping[str, Any]) -> dict[str, int]:
    """The queues from which a handler receives, each with its prefetch."""
    return {
        referred(document, operation["channel"])["bindings"]["amqp"]["queue"]["name"]: operation["bindings"]["amqp"][
            PREFETCH
        ]
        for operation in operations(document, "receive")
    }


def operations(document: Mapping[str, Any], action: str) -> Iterator[Mapping[str, Any]]:
    """The operations with that action."""
    return (operation for operation in document["operations"].values() if operation["action"] == action)


def referred(document: Mapping[str, Any], reference: Mapping[str, str]) -> Mapping[str, Any]:
    """What a reference within the document leads to."""
    found: Any = document
    for part in reference["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found
