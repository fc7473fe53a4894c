"""What each keyword of a reader's JSON Schema asks of what is written by another schema."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Clash:
    """Something that may be written and is not read."""

    place: str
    """Where, as in `items[].quantity`; empty for the whole."""
    keyword: str
    written: Any = None
    """The keyword's value on the side that writes; None for none."""
    read: Any = None
    certain: bool = True
    """False where nobody can tell, as of two patterns."""


Compare = Callable[[Any, Any, str], list[Clash]]
"""Compares what is written with what is read, at a place."""
Rule = Callable[[Compare, Schema, Schema, str], Iterator[Clash]]
"""Finds what the writer's schema (first) may say at a place against one keyword of the reader's (second)."""


def inside(place: str, name: str) -> str:
    """The place of a field."""
    return f"{place}.{name}" if place else name


def names(schema: Schema) -> set[str]:
    """The fields that a schema names."""
    return {*schema.get("properties", {})}


def same(keyword: str, one: Schema, other: Schema) -> bool:
    """Whether a keyword says the same in both, word for word."""
    texts = {json.dumps(schema.get(keyword), sort_keys=True) for schema in (one, other)}
    return (keyword in one) == (keyword in other) and len(texts) == 1


def as_object(schema: Any) -> Schema:
    """The schema `true` takes everything, `false` nothing."""
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    return schema


def _holds(keyword: str, holds: Callable[[Schema, Any], bool]) -> Rule:
    """A rule by a test of (what is written, the keyword's value for the reader)."""

    def rule(_: Compare, written: Schema, read: Schema, place: str) -> Iterator[Clash]:
        if not holds(written, read[keyword]):
            yield Clash(place, keyword, written.get(keyword), read[keyword])

    return rule


def _at_least(keyword: str) -> Rule:
    return _holds(keyword, lambda written, least: written.get(keyword, 0) >= least)


def _at_most(keyword: str) -> Rule:
    return _holds(keyword, lambda written, most: written.get(keyword, math.inf) <= most)


def _equal(keyword: str) -> Rule:
    """Of two patterns or formats nobody can tell which one takes more."""

    def rule(_: Compare, written: Schema, read: Schema, place: str) -> Iterator[Clash]:
        if written.get(keyword) != read[keyword]:
            yield Clash(place, keyword, written.get(keyword), read[keyword], certain=keyword not in written)

    return rule


def _among(keyword: str) -> Rule:
    """Only these values are taken, so only some of them may be written."""

    def rule(_: Compare, written: Schema, read: Schema, place: str) -> Iterator[Clash]:
        said, taken = values(written), values(read) or []
        if said is None or not _texts(said) <= _texts(taken):
            yield Clash(place, keyword, said, taken)

    return rule


def values(schema: Schema) -> list[Any] | None:
    """The values that a schema lists, if it does."""
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _texts(listed: Sequence[Any]) -> set[str]:
    """Values as JSON, in which 1 and true are not the same."""
    return {json.dumps(value, sort_keys=True) for value in listed}


def _low(schema: Schema) -> tuple[float, bool]:
    """The lower bound and whether the bound itself is left out; a greater tuple takes less."""
    return max((schema.get("minimum", -math.inf), False), (schema.get("exclusiveMinimum", -math.inf), True))


def _high(schema: Schema) -> tuple[float, bool]:
    """The upper bound, negated, and whether the bound itself is left out; a greater tuple takes less."""
    return max((-schema.get("maximum", math.inf), False), (-schema.get("exclusiveMaximum", math.inf), True))


def _is_multiple(written: Schema, factor: Any) -> bool:
    step = written.get("multipleOf")
    return step is not None and step % factor == 0


def _items(compare: Compare, written: Schema, read: Schema, place: str) -> Iterator[Clash]:
    said, heard = written.get("items", {}), read["items"]
    if not isinstance(said, list) and not isinstance(heard, list):
        yield from compare(said, heard, f"{place}[]")
    elif not same("items", written, read) or "$ref" in json.dumps(heard):
        yield Clash(place, "items", said, heard, certain=False)


def _required(_: Compare, written: Schema, read: Schema, place: str) -> Iterator[Clash]:
    for name in sorted({*read["required"]} - {*written.get("required", ())}):
        yield Clash(inside(place, name), "required", "no", "yes")


def _properties(compare: Compare, written: Schema, read: Schema, place: str) -> Iterator[Clash]:
    """Fields by name. One that may be missing must mean the same when it is."""
    said, heard = written.get("properties", {}), read["properties"]
    for name in sorted(heard):
        here = inside(place, name)
        if name in said:
            yield from compare(said[name], heard[name], here)
            one, other = as_object(said[name]), as_object(heard[name])
            if name not in written.get("required", ()) and not same("default", one, other):
                yield Clash(here, "default", one.get("default"), other.get("default"))
        elif (beside := _beside(written)) is not None:
            yield from compare(beside, heard[name], here)


def _additional(compare: Compare, written: Schema, read: Schema, place: str) -> Iterator[Clash]:
    """Fields that the reader does not name. Whether an open schema is ever written with some, nobody can tell."""
    taken = read["additionalProperties"]
    if taken is False and "additionalProperties" not in written:
        yield Clash(place, "additionalProperties", read=False, certain=False)
    others = {name: schema for name, schema in written.get("properties", {}).items() if name not in names(read)}
    if (beside := _beside(written)) is not None:
        others["*"] = beside
    for name, schema in sorted(others.items()):
        if taken is False:
            yield Clash(inside(place, name), "additionalProperties", "yes", "no")
        else:
            yield from compare(schema, taken, inside(place, name))


def _beside(schema: Schema) -> Schema | None:
    """The schema of fields that are written without being named; None if there are none."""
    beside = schema.get("additionalProperties", False)
    return None if beside is False else as_object(beside)


RULES: Mapping[str, Rule] = {
    "enum": _among("enum"),
    "const": _among("const"),
    "minLength": _at_least("minLength"),
    "maxLength": _at_most("maxLength"),
    "pattern": _equal("pattern"),
    "format": _equal("format"),
    "minimum": _holds("minimum", lambda written, least: _low(written) >= (least, False)),
    "exclusiveMinimum": _holds("exclusiveMinimum", lambda written, least: _low(written) >= (least, True)),
    "maximum": _holds("maximum", lambda written, most: _high(written) >= (-most, False)),
    "exclusiveMaximum": _holds("exclusiveMaximum", lambda written, most: _high(written) >= (-most, True)),
    "multipleOf": _holds("multipleOf", _is_multiple),
    "minItems": _at_least("minItems"),
    "maxItems": _at_most("maxItems"),
    "uniqueItems": _holds("uniqueItems", lambda written, unique: not unique or bool(written.get("uniqueItems"))),
    "items": _items,
    "minProperties": _at_least("minProperties"),
    "maxProperties": _at_most("maxProperties"),
    "properties": _properties,
    "additionalProperties": _additional,
    "required": _required,
}
"""The rules by keyword. A keyword that is neither here nor a mere annotation must say the same on both sides."""

CONCERNS: Mapping[str, str] = {
    **dict.fromkeys(("minLength", "maxLength", "pattern"), "string"),
    **dict.fromkeys(("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"), "number"),
    **dict.fromkeys(("minItems", "maxItems", "uniqueItems", "items"), "array"),
    **dict.fromkeys(("minProperties", "maxProperties", "properties", "additionalProperties", "required"), "object"),
}
"""The only type of values of which a keyword says anything; of other values it says nothing."""
