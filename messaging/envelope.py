"""What travels around an event's body: AMQP properties and headers, written and checked in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from contracts.event import Event, OrderEvent
from messaging.outcome import Reject
from messaging.unreadable import UNREADABLE

CONTENT_TYPE = "application/json"
MAX_BODY = 1024 * 1024
"""Bytes of the largest body that is read; a larger one is parked unread."""

MAX_PROBLEMS = 10
"""Problems of one body that are named."""
MAX_COUNT = 1_000_000
"""No re-drive and no attempt is ever numbered so high."""

REDRIVE = "x-redrive"
CAUSATION = "x-causation-id"
ATTEMPT = "x-attempt"
FIRST_FAILURE = "x-first-failure"
LAST_FAILURE = "x-last-failure"
ERROR_CLASS = "x-error-class"
ERROR_REASON = "x-error-reason"
REPLAY = "x-replay-id"


class Poison(Reject):
    """A message that no retry and no deploy can help: it breaks the contract."""


@dataclass(slots=True)  # frozen takes twice as long to make, for each message
class Envelope:
    """What the kernel needs of a message besides its event."""

    queue: str
    redrive: int
    attempt: int
    """How often it failed so far."""
    redelivered: bool
    headers: dict[str, Any]
    replay: UUID | None = None
    """The replay that brought it back from its dead-letter queue."""


def properties(event: Event, redrive: int = 0) -> dict[str, Any]:
    """The publish options of an event, as its producer sets them; for tests and tools that publish by hand."""
    return {
        "routing_key": event.name,
        "message_id": str(event.event_id),
        "message_type": event.message_type(),
        "correlation_id": str(event.order_id) if isinstance(event, OrderEvent) else str(event.event_id),
        "content_type": CONTENT_TYPE,
        "headers": {REDRIVE: redrive} if redrive else {},
    }


def read_event(kind: type[Event], message: Any) -> Event:
    """The event in a message. Raises Poison, with the reason and without the message's content, if it is none."""
    raw = message.raw_message
    if len(message.body) > MAX_BODY:
        msg = f"body of {len(message.body)} bytes, allowed are {MAX_BODY}"
        raise Poison(msg)
    if raw.content_type not in {None, CONTENT_TYPE}:
        msg = "content type is not application/json"
        raise Poison(msg)
    if raw.content_encoding not in {None, "", "utf-8"}:
        msg = "content encoding is not supported"
        raise Poison(msg)
    if raw.type not in {None, kind.message_type()}:
        msg = f"type is not {kind.message_type()}"
        raise Poison(msg)
    try:
        event = kind.model_validate_json(message.body)
    except ValidationError as error:
        raise Poison(f"no {kind.message_type()}: {problems(error)}") from None
    if event.version != kind.schema_version:
        msg = f"version {event.version} is unknown, known is {kind.schema_version}"
        raise Poison(msg)
    if raw.message_id != str(event.event_id):
        msg = "message_id is not the body's event_id"
        raise Poison(msg)
    return event


def read_envelope(queue: str, message: Any) -> Envelope:
    """The rest of a message. Raises Poison for headers that cannot be."""
    if UNREADABLE in message.headers:
        msg = "its properties cannot be read"
        raise Poison(msg)
    return Envelope(
        queue=queue,
        redrive=_count(message.headers, REDRIVE),
        attempt=_count(message.headers, ATTEMPT),
        redelivered=bool(message.raw_message.redelivered),
        headers=dict(message.headers),
        replay=_replay(message.headers),
    )


def problems(error: ValidationError) -> str:
    """What is wrong, field by field, without the values: they may be personal or secret."""
    found = [
        f"{'.'.join(str(part) for part in item['loc']) or 'body'}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return "; ".join(found[:MAX_PROBLEMS]) + ("; and more" if len(found) > MAX_PROBLEMS else "")


def _replay(headers: dict[str, Any]) -> UUID | None:
    value = headers.get(REPLAY)
    try:
        return None if value is None else UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise Poison(f"header {REPLAY} is no UUID") from None


def _count(headers: dict[str, Any], name: str) -> int:
    value = headers.get(name, 0)
    if type(value) is not int or not 0 <= value < MAX_COUNT:
        msg = f"header {name} is no count"
        raise Poison(msg)
    return value
