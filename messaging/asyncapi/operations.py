"""The operations: one receive for each handler's event, one send for each published event."""

from __future__ import annotations

from typing import Any

from contracts.event import Event
from messaging.asyncapi.described import Described, Landscape
from messaging.asyncapi.messages import described, summary_of
from messaging.asyncapi.profile import (
    BINDING_VERSION,
    CUSTODY,
    DEAD_LETTER,
    HANDLER,
    PREFETCH,
    RETRY,
    SENDS,
    Json,
    channel_ref,
    exchange_channel,
    message_ref,
)
from messaging.asyncapi.prose import iso_duration, listed, route_facts
from messaging.collector import PREFETCH as COLLECTOR_PREFETCH
from messaging.pipeline import Route
from messaging.topology import RESTING, Queue, dead_letter_queue, retry_tier


def operations(landscape: Landscape) -> Json:
    """All operations by their ids: `<service>.receive.<event>`, `.send.<event>`, `.collect.<queue>`."""
    found: Json = {
        _receive_id(service.name, route.event): _receive(landscape, service, route)
        for service, route in landscape.routes.values()
    }
    for service in landscape.services:
        found |= {_send_id(service.name, event): _send(landscape, service, event) for event in service.says.values()}
    if landscape.custodian:
        resting = (queue for queue in landscape.topology.queues if queue.kind in RESTING)
        found |= {
            f"{landscape.custodian.name}.collect.{each.name}": _collect(landscape.custodian, each) for each in resting
        }
    return found


def _collect(service: Described, queue: Queue) -> Json:
    """Whatever is in the queue: the operation names no messages, so all of its channel's are meant."""
    return {
        "action": "receive",
        "channel": channel_ref(queue.name),
        "title": f"{service.name}: custody of {queue.name}",
        "summary": f"Take every message of `{queue.name}` into custody.",
        "description": (
            "Each message is stored as it is, readable or not, and only then acknowledged; from then on a person "
            f"replays or discards it. While {service.name} is down the messages stay here."
        ),
        "tags": [{"name": service.name}],
        "bindings": {"amqp": {"ack": True, PREFETCH: COLLECTOR_PREFETCH, "bindingVersion": BINDING_VERSION}},
        CUSTODY: True,
    }


def _receive_id(service: str, event: type[Event]) -> str:
    return f"{service}.receive.{event.name}"


def _send_id(service: str, event: type[Event]) -> str:
    return f"{service}.send.{event.name}"


def _receive(landscape: Landscape, service: Described, route: Route) -> Json:
    handler: Any = route.handler
    delays = landscape.delays(route)
    message = route.event.message_type()
    dead = dead_letter_queue(route.queue)
    found: Json = {
        "action": "receive",
        "channel": channel_ref(route.queue),
        "messages": [message_ref(route.queue, message)],
        "title": f"{service.name}: {handler.__name__}",
        "summary": summary_of(handler),
        "description": f"{described(handler)}\n\n"
        + route_facts(route.queue, delays, never_park=route.retry.never_park)
        + f" One process holds at most {service.settings.prefetch} unacknowledged messages.",
        "tags": [{"name": service.name}],
        "bindings": {"amqp": {"ack": True, PREFETCH: service.settings.prefetch, "bindingVersion": BINDING_VERSION}},
        HANDLER: f"{handler.__module__}.{handler.__qualname__}",
        SENDS: [
            {"$ref": f"#/operations/{_send_id(service.name, event)}"}
            for event in sorted(route.signature.returns, key=lambda event: event.name)
        ],
        DEAD_LETTER: {"channel": channel_ref(dead), "messages": [message_ref(dead, message)]},
    }
    if delays:
        tiers = [exchange_channel(retry_tier(delay)) for delay in delays]
        found[RETRY] = {
            "channel": channel_ref(tiers[0]),
            "messages": [message_ref(tiers[0], message)],
            "maxAttempts": len(delays),
            "strategy": {"type": "x-schedule", "delays": [iso_duration(delay) for delay in delays]},
            "x-routing-key": route.queue,
            "x-tiers": [channel_ref(tier) for tier in tiers],
            "x-never-park": route.retry.never_park,
        }
    return found


def _send(landscape: Landscape, service: Described, event: type[Event]) -> Json:
    queues = list(landscape.consumers(event.name))
    description = f"{described(event)}\n\nStored with its cause in one transaction, then published until confirmed."
    if queues:
        description += f" Received in {listed(queues)}."
    return {
        "action": "send",
        "channel": channel_ref(event.name),
        "messages": [message_ref(event.name, event.message_type())],
        "title": f"{service.name}: {event.name}",
        "summary": summary_of(event),
        "description": description,
        "tags": [{"name": service.name}],
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "bindingVersion": BINDING_VERSION}},
    }
