"""The document as a reader wants it: events, services, queues and exchanges, each with all that belongs to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from messaging.asyncapi.fields import Field, constraints, fields
from messaging.asyncapi.profile import CUSTODY, DEAD_LETTER, HANDLER, PREFETCH, PROPERTIES, RETRY, SENDS, Json
from messaging.asyncapi.reading import topology_of
from messaging.topology import EVENTS, Binding, Exchange, Queue

KINDS = {
    "work": "Work queues",
    "retry": "Retry tiers",
    "dead-letter": "Dead-letter queues",
    "unrouted": "Unrouted events",
}
"""What queues are for, in the order in which a reader meets them."""
_ONE = {
    "work": "work queue",
    "retry": "retry queue",
    "dead-letter": "dead-letter queue",
    "unrouted": "queue of unrouted events",
}


def anchor(kind: str, name: str) -> str:
    """The id under which the page has something: `queue-payment.order.created`."""
    return f"{kind}-{name}"


@dataclass(frozen=True)
class Retry:
    """When a failed message is tried again."""

    delays: tuple[str, ...]
    tiers: tuple[str, ...]
    never_park: bool


@dataclass(frozen=True)
class Receive:
    """A handler's event: from which queue, and what becomes of it."""

    name: str
    service: str
    event: str
    queue: str
    handler: str
    summary: str
    prefetch: int
    retry: Retry | None
    dead_letter: str
    sends: tuple[str, ...]


@dataclass(frozen=True)
class Send:
    """An event that a service publishes."""

    name: str
    service: str
    event: str
    summary: str


@dataclass(frozen=True)
class Collect:
    """A queue whose messages a service takes into custody, whatever they are."""

    name: str
    service: str
    queue: str


@dataclass(frozen=True)
class Example:
    """A message as it may be."""

    name: str
    summary: str
    headers: str
    payload: str


@dataclass(frozen=True)
class Message:
    """One version of an event."""

    name: str
    title: str
    description: str
    deprecated: bool
    content_type: str
    correlation: str
    payload: str
    headers: str
    fields: tuple[Field, ...]
    properties: tuple[tuple[str, str], ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class EventPage:
    """An event with those who say and hear it."""

    name: str
    description: str
    sends: tuple[Send, ...]
    receives: tuple[Receive, ...]
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class QueuePage:
    """A queue with its bindings and, if a handler receives from it, the operation."""

    queue: Queue
    description: str
    bindings: tuple[Binding, ...]
    receive: Receive | None
    parks_for: Receive | None

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return _ONE[self.queue.kind]


@dataclass(frozen=True)
class ExchangePage:
    """An exchange with the bindings that lead out of it; `kind` in words."""

    exchange: Exchange
    kind: str
    description: str
    bindings: tuple[Binding, ...]


@dataclass(frozen=True)
class ServicePage:
    """A service with what it hears and says."""

    name: str
    receives: tuple[Receive, ...]
    sends: tuple[Send, ...]
    collects: tuple[Collect, ...]


@dataclass(frozen=True)
class SchemaPage:
    """A schema that fields refer to; an object has fields, another value has constraints."""

    name: str
    description: str
    type: str
    fields: tuple[Field, ...]
    constraints: tuple[str, ...]


class Reference:
    """Reads one document, in whatever order it is written. Every sequence is sorted by name."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document: Json = json.loads(json.dumps(document, sort_keys=True))
        self.topology = topology_of(self.document)
        self._channels: Json = self.document["channels"]

    @cached_property
    def receives(self) -> tuple[Receive, ...]:
        """The receive operations."""
        return tuple(self._receive(name, each) for name, each in self._operations("receive") if CUSTODY not in each)

    @cached_property
    def collects(self) -> tuple[Collect, ...]:
        """The operations that take messages into custody."""
        return tuple(
            Collect(name, each["tags"][0]["name"], _last(each["channel"]))
            for name, each in self._operations("receive")
            if CUSTODY in each
        )

    @cached_property
    def sends(self) -> tuple[Send, ...]:
        """The send operations."""
        return tuple(
            Send(name, each["tags"][0]["name"], _last(each["channel"]), each["summary"])
            for name, each in self._operations("send")
        )

    @cached_property
    def services(self) -> tuple[ServicePage, ...]:
        """The services that receive or send."""
        names = sorted({each.service for each in (*self.receives, *self.sends, *self.collects)})
        return tuple(
            ServicePage(
                name,
                tuple(each for each in self.receives if each.service == name),
                tuple(each for each in self.sends if each.service == name),
                tuple(each for each in self.collects if each.service == name),
            )
            for name in names
        )

    @cached_property
    def events(self) -> tuple[EventPage, ...]:
        """The events."""
        return tuple(
            EventPage(
                name,
                channel["description"],
                tuple(each for each in self.sends if each.event == name),
                tuple(each for each in self.receives if each.event == name),
                tuple(self._message(_last(each)) for each in channel["messages"].values()),
            )
            for name, channel in sorted(self._channels.items())
            if channel["bindings"]["amqp"].get("exchange", {}).get("name") == EVENTS
        )

    @cached_property
    def exchanges(self) -> tuple[ExchangePage, ...]:
        """The exchanges; tiers last, by their delay."""
        delays = {queue.name: _ttl(queue) for queue in self.topology.queues if queue.kind == "retry"}
        said = {
            channel["bindings"]["amqp"]["exchange"]["name"]: channel["description"]
            for channel in self._channels.values()
            if channel["bindings"]["amqp"]["is"] == "routingKey"
        }
        said[EVENTS] = "All events, each under its own name as routing key."
        return tuple(
            ExchangePage(
                exchange,
                "retry exchange" if exchange.name in delays else "exchange",
                said[exchange.name],
                tuple(each for each in self.topology.bindings if each.exchange == exchange.name),
            )
            for exchange in sorted(self.topology.exchanges, key=lambda each: (delays.get(each.name, 0), each.name))
        )

    @cached_property
    def queues(self) -> Mapping[str, tuple[QueuePage, ...]]:
        """The queues by the headings of their kinds; tiers by their delay."""
        receives = {each.queue: each for each in self.receives}
        parked = {each.dead_letter: each for each in self.receives}
        found = [
            QueuePage(
                queue,
                self._channels[queue.name]["description"],
                tuple(each for each in self.topology.bindings if each.queue == queue.name),
                receives.get(queue.name),
                parked.get(queue.name),
            )
            for queue in sorted(self.topology.queues, key=lambda each: (_ttl(each), each.name))
        ]
        return {heading: tuple(each for each in found if each.queue.kind == kind) for kind, heading in KINDS.items()}

    @cached_property
    def schemas(self) -> tuple[SchemaPage, ...]:
        """The schemas of values and headers; those of payloads stand with their events."""
        payloads = {message.payload for event in self.events for message in event.messages}
        return tuple(
            SchemaPage(
                name,
                schema.get("description", ""),
                schema.get("type", "any value"),
                fields(schema),
                tuple(constraints(schema)),
            )
            for name, schema in sorted(self.document["components"]["schemas"].items())
            if name not in payloads
        )

    @cached_property
    def anchors(self) -> Mapping[str, str]:
        """Where a name in a text leads. A tier's queue and exchange have one name; it leads to the exchange."""
        return {
            **{page.queue.name: anchor("queue", page.queue.name) for pages in self.queues.values() for page in pages},
            **{page.exchange.name: anchor("exchange", page.exchange.name) for page in self.exchanges},
            **{page.name: anchor("event", page.name) for page in self.events},
        }

    def _operations(self, action: str) -> Iterator[tuple[str, Json]]:
        return ((name, each) for name, each in sorted(self.document["operations"].items()) if each["action"] == action)

    def _receive(self, name: str, operation: Json) -> Receive:
        retry = operation.get(RETRY)
        queue = _last(operation["channel"])
        [binding] = [each for each in self.topology.bindings if (each.exchange, each.queue) == (EVENTS, queue)]
        return Receive(
            name=name,
            service=operation["tags"][0]["name"],
            event=binding.routing_key,
            queue=queue,
            handler=operation[HANDLER],
            summary=operation["summary"],
            prefetch=operation["bindings"]["amqp"][PREFETCH],
            retry=retry and self._retry(retry),
            dead_letter=_last(operation[DEAD_LETTER]["channel"]),
            sends=tuple(_last(self.document["operations"][_last(each)]["channel"]) for each in operation[SENDS]),
        )

    def _retry(self, retry: Json) -> Retry:
        tiers = [self._channels[_last(each)]["bindings"]["amqp"]["exchange"]["name"] for each in retry["x-tiers"]]
        return Retry(tuple(retry["strategy"]["delays"]), tuple(tiers), retry["x-never-park"])

    def _message(self, name: str) -> Message:
        message = self.document["components"]["messages"][name]
        payload = _last(message["payload"])
        return Message(
            name=name,
            title=message["title"],
            description=message["description"],
            deprecated=message.get("deprecated", False),
            content_type=message["contentType"],
            correlation=message["correlationId"]["location"],
            payload=payload,
            headers=_last(message["headers"]),
            fields=fields(self.document["components"]["schemas"][payload]),
            properties=tuple(
                (each, _property(value)) for each, value in sorted(message["bindings"]["amqp"][PROPERTIES].items())
            ),
            examples=tuple(
                Example(each["name"], each["summary"], pretty(each["headers"]), pretty(each["payload"]))
                for each in message["examples"]
            ),
        )


def pretty(value: Any) -> str:
    """JSON for a reader."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


def in_words(delays: Sequence[str]) -> str:
    """ISO 8601 durations of one unit each, as the tiers are named: `1s, 5s, 2m`."""
    return ", ".join(delay.removeprefix("PT").lower() for delay in delays)


def _property(value: Json) -> str:
    if "const" in value:
        return f"`{value['const']}`"
    return f"`{value['location']}`" if "location" in value else value["description"]


def _last(reference: Mapping[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _ttl(queue: Queue) -> int:
    return int(queue.arguments.get("x-message-ttl", 0))
