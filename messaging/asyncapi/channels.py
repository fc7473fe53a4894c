"""The channels: one for each event, one for each exchange that carries many keys, one for each queue."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.event import Event
from messaging.asyncapi.described import Landscape
from messaging.asyncapi.messages import described, summary_of
from messaging.asyncapi.profile import ARGUMENTS, BINDING_VERSION, BINDINGS, KIND, Json, exchange_channel
from messaging.asyncapi.prose import listed, route_facts
from messaging.topology import DEAD, EVENTS, REQUEUE, RESTING, UNROUTED, Exchange, Queue, dead_letter_queue


def channels(landscape: Landscape) -> Json:
    """All channels by their ids: an event's name, `exchange.<name>`, a queue's name."""
    exchanges = {exchange.name: exchange for exchange in landscape.topology.exchanges}
    events = exchanges.pop(EVENTS)
    return {
        **{name: _event_channel(landscape, event, events) for name, event in landscape.events.items()},
        **{exchange_channel(name): _exchange_channel(landscape, exchange) for name, exchange in exchanges.items()},
        **{queue.name: _queue_channel(landscape, queue) for queue in landscape.topology.queues},
    }


def _event_channel(landscape: Landscape, event: type[Event], exchange: Exchange) -> Json:
    queues = list(landscape.consumers(event.name))
    producers = landscape.producers.get(event.name, ())
    said = "Published"
    if producers:
        said += f" by {', '.join(producers)}, persistently, `mandatory` and with publisher confirms,"
    return {
        "address": event.name,
        "title": event.name,
        "summary": summary_of(event),
        "description": (
            f"{said} to the {exchange.type} exchange `{exchange.name}` with the routing key `{event.name}`. "
            + (f"The broker puts a copy into {listed(queues)}. " if queues else "")
            + f"What no queue is bound for goes to `{UNROUTED}` instead of being lost."
        ),
        "tags": [{"name": producer} for producer in producers],
        "messages": _messages([event]),
        "bindings": {"amqp": {"is": "routingKey", "exchange": _exchange(exchange), "bindingVersion": BINDING_VERSION}},
    }


def _exchange_channel(landscape: Landscape, exchange: Exchange) -> Json:
    routed = exchange.name != UNROUTED
    key: Json = {"description": "The work queue that a message comes from and belongs to."}
    if routed:
        key["enum"] = sorted(landscape.routes)
    else:
        key["description"] = "The event's name, under which it was published."
    return {
        "address": "{routingKey}",
        "title": f"{exchange.name} ({exchange.type} exchange)",
        "description": _exchange_facts(exchange),
        "parameters": {"routingKey": key},
        "messages": _messages((landscape.heard if routed else landscape.events).values()),
        "bindings": {"amqp": {"is": "routingKey", "exchange": _exchange(exchange), "bindingVersion": BINDING_VERSION}},
    }


def _exchange_facts(exchange: Exchange) -> str:
    if exchange.name == UNROUTED:
        return "The alternate exchange of all events: what no queue is bound for ends in the queue of the same name."
    if exchange.name == REQUEUE:
        return (
            "The way back into a work queue, by its name: the broker returns messages from the retry tiers through it, "
            "and replays of dead letters go the same way."
        )
    if exchange.name == DEAD:
        return (
            "The way to the dead-letter queues: a message that cannot be handled is published here under the name of "
            "its work queue, with the reason in its headers; so is, by the broker, one that kills its consumers."
        )
    return (
        "A retry tier: a failed message is published here under the name of its work queue, waits in the queue of the "
        f"same name, and returns through `{REQUEUE}`."
    )


def _queue_channel(landscape: Landscape, queue: Queue) -> Json:
    bindings = [
        {"exchange": binding.exchange, "routingKey": binding.routing_key}
        for binding in landscape.topology.bindings
        if binding.queue == queue.name
    ]
    title, description, owner, events = _queue_facts(landscape, queue)
    if landscape.custodian and queue.kind in RESTING:
        description += f" {landscape.custodian.name} takes each into custody: stored first, then acknowledged."
    return {
        "address": queue.name,
        "title": title,
        "description": description,
        "tags": [{"name": owner}] if owner else [],
        "messages": _messages(events),
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {
                    "name": queue.name,
                    "durable": True,
                    "exclusive": False,
                    "autoDelete": False,
                    KIND: queue.kind,
                    ARGUMENTS: dict(queue.arguments),
                },
                BINDINGS: sorted(bindings, key=lambda binding: (binding["exchange"], binding["routingKey"])),
                "bindingVersion": BINDING_VERSION,
            }
        },
    }


def _queue_facts(landscape: Landscape, queue: Queue) -> tuple[str, str, str | None, Iterable[type[Event]]]:
    """Title, description, owning service and events."""
    arguments = queue.arguments
    if queue.kind == "work":
        service, route = landscape.routes[queue.name]
        text = f"Where {service.name} receives `{route.event.name}`: {described(route.handler)}\n\n"
        text += route_facts(queue.name, landscape.delays(route), never_park=route.retry.never_park)
        text += f" A message that was delivered {arguments['x-delivery-limit']} times is parked by the broker itself."
        return f"{queue.name} (work queue)", text, service.name, [route.event]
    if queue.kind == "dead-letter":
        origin = next(name for name in landscape.routes if dead_letter_queue(name) == queue.name)
        service, route = landscape.routes[origin]
        text = (
            f"Messages of `{origin}` that could not be handled, until a person replays or discards them. Headers tell "
            "the reason; a body may be anything, for it may be the reason. The end of the line: nothing expires here "
            "and nothing is dropped."
        )
        return f"{queue.name} (dead-letter queue)", text, service.name, [route.event]
    if queue.kind == "retry":
        text = (
            f"Messages of all work queues that failed and wait {arguments['x-message-ttl']} ms for their next attempt; "
            f"then the broker returns them, at least once, through `{arguments['x-dead-letter-exchange']}`. At most "
            f"{arguments['x-max-length']} wait at a time; beyond that a consumer keeps its message."
        )
        return f"{queue.name} (retry tier)", text, None, landscape.heard.values()
    text = "Events that nobody is bound to: never lost silently. A person decides; nothing expires here."
    return f"{queue.name} (unrouted events)", text, None, landscape.events.values()


def _exchange(exchange: Exchange) -> Json:
    return {
        "name": exchange.name,
        "type": exchange.type,
        "durable": True,
        "autoDelete": False,
        ARGUMENTS: dict(exchange.arguments),
    }


def _messages(events: Iterable[type[Event]]) -> Json:
    return {event.message_type(): {"$ref": f"#/components/messages/{event.message_type()}"} for event in events}
