"""Schemas as rows of a table: each field with its type, its constraints and what it means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_RANGES = (
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minimum", "maximum", ""),
)
_BOUNDS = {"exclusiveMinimum": "above", "exclusiveMaximum": "below"}
_MARKS = {"x-personal-data": "personal data", "x-secret": "secret"}
_IN_WORDS = (
    {"type", "format", "title", "description", "properties", "required", "items", "$ref", "anyOf", "allOf", "enum"}
    | {bound for low, high, _ in _RANGES for bound in (low, high)}
    | _BOUNDS.keys()
    | _MARKS.keys()
)
"""Keywords that the table has words or a column for."""


@dataclass(frozen=True)
class Part:
    """A piece of a type's name; `schema` names the schema that it is, if it is one of the document's."""

    text: str
    schema: str | None = None


@dataclass(frozen=True)
class Field:
    """One field of an object."""

    name: str
    required: bool
    type: tuple[Part, ...]
    constraints: tuple[str, ...]
    description: str


def fields(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields of an object's schema, required ones first."""
    required = schema.get("required", ())
    found = [
        Field(name, name in required, tuple(type_of(each)), tuple(constraints(each)), each.get("description", ""))
        for name, each in schema.get("properties", {}).items()
    ]
    return tuple(sorted(found, key=lambda field: (not field.required, field.name)))


def type_of(schema: Mapping[str, Any]) -> Iterator[Part]:
    """The type's name in pieces."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield Part(name, name)
    elif "anyOf" in schema or "allOf" in schema:
        word = " or " if "anyOf" in schema else " and "
        for index, each in enumerate(schema.get("anyOf") or schema["allOf"]):
            if index:
                yield Part(word)
            yield from type_of(each)
    elif schema.get("type") == "array":
        yield Part("array of ")
        yield from type_of(schema.get("items", {}))
    else:
        name = schema.get("type", "any value")
        yield Part(f"{name} ({schema['format']})" if "format" in schema else name)


def constraints(schema: Mapping[str, Any]) -> Iterator[str]:
    """Everything that the schema asks of a value besides its type; a keyword that has no words of its own is shown."""
    yield from _ranges(schema)
    yield from (text for mark, text in _MARKS.items() if schema.get(mark))
    if "enum" in schema:
        yield "one of " + ", ".join(_value(each) for each in schema["enum"])
    yield from (f"{keyword} {_value(schema[keyword])}" for keyword in sorted(schema.keys() - _IN_WORDS))
    for inner in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from constraints(inner)
    if "items" in schema:
        yield from (f"each: {text}" for text in constraints(schema["items"]))


def _ranges(schema: Mapping[str, Any]) -> Iterator[str]:
    for low, high, unit in _RANGES:
        if text := _range(schema.get(low), schema.get(high)):
            yield text + unit
    yield from (f"{word} {schema[bound]:,}" for bound, word in _BOUNDS.items() if bound in schema)


def _range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f"at least {low:,}"
    if low is None:
        return f"at most {high:,}"
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _value(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value, ensure_ascii=False, sort_keys=True)}`"
