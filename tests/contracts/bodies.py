"""Bodies of events as JSON, and the places in them."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import TypeAlias

from pydantic import JsonValue

from contracts import EVENTS, Event

Place: TypeAlias = tuple[str | int, ...]

EVERY_EVENT = tuple(EVENTS.values())


def name_of(event: type[Event]) -> str:
    """Name an event for a test's id."""
    return event.name


def body_of(event: Event) -> dict[str, JsonValue]:
    """The event as its consumer receives it."""
    return json.loads(event.model_dump_json())


def read(kind: type[Event], body: JsonValue) -> Event:
    """The event in a body. Raises ValidationError if it is none."""
    return kind.model_validate_json(json.dumps(body))


def places(body: JsonValue, here: Place = ()) -> Iterator[tuple[Place, JsonValue]]:
    """Every place in a body, at any depth, with what is there."""
    yield here, body
    if isinstance(body, dict):
        for key, value in body.items():
            yield from places(value, (*here, key))
    elif isinstance(body, list):
        for index, value in enumerate(body):
            yield from places(value, (*here, index))


def replaced(body: JsonValue, place: Place, value: JsonValue) -> JsonValue:
    """A copy of the body with another value in this place; a key that is new is added."""
    if not place:
        return value
    first, *rest = place
    copy = deepcopy(body)
    if isinstance(copy, dict) and isinstance(first, str):
        copy[first] = replaced(copy.get(first), tuple(rest), value)
    elif isinstance(copy, list) and isinstance(first, int):
        copy[first] = replaced(copy[first], tuple(rest), value)
    return copy
