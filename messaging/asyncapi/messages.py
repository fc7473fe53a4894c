"""One message object for each event."""

from __future__ import annotations

import inspect
import json

from contracts.event import Event, OrderEvent
from messaging.asyncapi.profile import BINDING_VERSION, CONTENT_TYPE, PROPERTIES, VERSION, Json
from messaging.asyncapi.schemas import HEADERS
from messaging.envelope import ATTEMPT, ERROR_CLASS, ERROR_REASON, FIRST_FAILURE, LAST_FAILURE

_TRACE = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


def described(thing: object) -> str:
    """The docstring, the same on every Python."""
    return inspect.cleandoc(thing.__doc__ or "")


def summary_of(thing: object) -> str:
    """The docstring's first paragraph, on one line."""
    return " ".join(described(thing).partition("\n\n")[0].split())


def message(event: type[Event]) -> Json:
    """The message that carries an event: body, headers, AMQP properties, two examples."""
    correlation = correlation_location(event)
    found: Json = {
        "name": event.message_type(),
        "title": f"{event.name}, version {event.schema_version}",
        "summary": summary_of(event),
        "description": described(event),
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
        "headers": {"$ref": f"#/components/schemas/{HEADERS}"},
        "correlationId": {
            "location": correlation,
            "description": "The AMQP property correlation_id has the same value; no expression reaches properties.",
        },
        "bindings": {
            "amqp": {
                "messageType": event.message_type(),
                PROPERTIES: {
                    "message_id": {"location": "$message.payload#/event_id"},
                    "correlation_id": {"location": correlation},
                    "type": {"const": event.message_type()},
                    "content_type": {"const": CONTENT_TYPE},
                    "delivery_mode": {"const": 2},
                    "app_id": {"description": "The service that published it; after a failure, the one that failed."},
                },
                "bindingVersion": BINDING_VERSION,
            }
        },
        "examples": _examples(event),
        VERSION: event.schema_version,
    }
    if event.deprecated:
        found["deprecated"] = True
        found["description"] += f"\n\nDeprecated: {event.deprecated}"
    return found


def correlation_location(event: type[Event]) -> str:
    """Where the message's correlation id stands: an order's events have the order's id, others their own."""
    return f"$message.payload#/{'order_id' if issubclass(event, OrderEvent) else 'event_id'}"


def _examples(event: type[Event]) -> list[Json]:
    payload = json.loads(event.example().model_dump_json())
    failed = {
        **_TRACE,
        ATTEMPT: 1,
        FIRST_FAILURE: "2026-11-02T09:30:02.125+00:00",
        LAST_FAILURE: "2026-11-02T09:30:03.250+00:00",
        ERROR_CLASS: "GatewayUnavailable",
        ERROR_REASON: "no answer within 2.0 s",
    }
    return [
        {"name": "published", "summary": summary_of(event.example), "headers": dict(_TRACE), "payload": payload},
        {
            "name": "failed",
            "summary": "The same message after its first failed attempt.",
            "headers": failed,
            "payload": payload,
        },
    ]
