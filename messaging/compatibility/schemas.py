"""Whether all that is written by one JSON Schema is taken by whoever reads by another.

The judgement errs on the safe side: where it finds no clash, nothing that is written is refused. A clash may be a false
alarm; one that is not certain says so.

What is written comes from models, so it holds no field that its schema does not name. Whoever reads ignores fields that
it does not know (contracts.event.Event), unless `additionalProperties` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from messaging.compatibility.rules import CONCERNS, RULES, Clash, Schema, as_object, inside, names, same, values

UNREAD = "unread"
"""The keyword of a clash in which nothing is refused, but a field is written that the reader does not know."""

_ANNOTATIONS = frozenset(
    {"$comment", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly"}
)
_TYPES = ("array", "boolean", "null", "number", "object", "string")
_TYPE_OF = {
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "str": "string",
    "NoneType": "null",
    "list": "array",
}


class Comparison:
    """Schemas of one document as they are written, against those of another as they are read."""

    def __init__(self, writer: Schema, reader: Schema) -> None:
        self._writer = writer
        self._reader = reader
        self._compared: set[tuple[str, str]] = set()

    def clashes(self, written: Any, read: Any, place: str = "") -> list[Clash]:
        """Everything that `written` may say and `read` does not take."""
        written, read = _as_choice(as_object(written)), _as_choice(as_object(read))
        if "$ref" in written or "$ref" in read:
            return self._referred(written, read, place)
        if (parts := _all_of(read)) != [read]:
            return [clash for part in parts for clash in self.clashes(written, part, place)]
        if (parts := _all_of(written)) != [written]:
            return _fewest(self.clashes(part, read, place) for part in parts)
        if (options := _any_of(written)) != [written]:
            return [clash for option in options for clash in self.clashes(option, read, place)]
        if (choices := _any_of(read)) != [read]:
            return self._fits_one(written, choices, place)
        return list(self._plain(written, read, place))

    def _referred(self, written: Schema, read: Schema, place: str) -> list[Clash]:
        """Follow references. Two that are being compared already are taken to fit: a clash is found where it is."""
        pair = (written.get("$ref", ""), read.get("$ref", ""))
        if pair in self._compared:
            return []
        if all(pair):
            self._compared.add(pair)
        try:
            return self.clashes(_target(self._writer, written), _target(self._reader, read), place)
        finally:
            self._compared.discard(pair)

    def _fits_one(self, written: Schema, choices: Sequence[Schema], place: str) -> list[Clash]:
        """Whether one of the reader's choices takes it; if none does, the clashes with the nearest one."""
        found = [self.clashes(written, choice, place) for choice in choices]
        refused = [[clash for clash in each if (clash.place, clash.keyword) == (place, "type")] for each in found]
        near = [clashes for clashes, types in zip(found, refused, strict=True) if not types]
        if near:
            return _fewest(near)
        taken = sorted({name for clashes in refused for clash in clashes for name in clash.read})
        return [Clash(place, "type", _types(written), taken)]

    def _plain(self, written: Schema, read: Schema, place: str) -> Iterator[Clash]:
        """Compare schemas without alternatives."""
        types, taken = _types(written), _types(read)
        if not all(each in taken or (each == "integer" and "number" in taken) for each in types):
            yield Clash(place, "type", types, taken)
            return
        for keyword in sorted(read.keys() | written.keys() & {"patternProperties"}):
            if keyword in RULES:
                if keyword not in CONCERNS or CONCERNS[keyword] in types or _is_number(keyword, types):
                    yield from RULES[keyword](self.clashes, written, read, place)
            elif not self._is_harmless(keyword, written, read):
                yield Clash(place, keyword, written.get(keyword), read.get(keyword), certain=False)
        if "properties" in read and "additionalProperties" not in read:
            yield from (Clash(inside(place, name), UNREAD) for name in sorted(names(written) - names(read)))

    def _is_harmless(self, keyword: str, written: Schema, read: Schema) -> bool:
        """Whether a keyword without a rule refuses nothing: it asks nothing, or the same of both."""
        if keyword == "type" or _is_annotation(keyword):
            return True
        if keyword == "patternProperties":  # it also decides what `properties` and `additionalProperties` are asked
            return written == read and self._same_references(read, set())
        return same(keyword, written, read) and self._same_references(read[keyword], set())

    def _same_references(self, schema: object, seen: set[str]) -> bool:
        """Whether all that a schema refers to is word for word the same in both documents."""
        if isinstance(schema, list):
            return all(self._same_references(each, seen) for each in cast("list[object]", schema))
        if not isinstance(schema, dict):
            return True
        parts = cast("dict[str, object]", schema)
        name = parts.get("$ref")
        if isinstance(name, str) and name not in seen:
            seen.add(name)
            one, other = (_target(document, parts) for document in (self._writer, self._reader))
            return one == other and self._same_references(one, seen)
        return all(self._same_references(each, seen) for each in parts.values())


def _as_choice(schema: Schema) -> Schema:
    """A union whose tag tells which one it is needs no care that exactly one fits."""
    if "oneOf" not in schema or "discriminator" not in schema:
        return schema
    rest = {keyword: value for keyword, value in schema.items() if keyword not in {"oneOf", "discriminator"}}
    return {**rest, "anyOf": schema["oneOf"]}


def _target(document: Schema, schema: Schema) -> Schema:
    """What a reference leads to; in draft 07 nothing beside it counts."""
    if "$ref" not in schema:
        return schema
    found: Any = document
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def _all_of(schema: Schema) -> list[Schema]:
    """The parts that must all hold."""
    rest = {keyword: value for keyword, value in schema.items() if keyword not in {"allOf", "anyOf"}}
    parts: list[Schema] = [*schema.get("allOf", ()), *([{"anyOf": schema["anyOf"]}] if "anyOf" in schema else ())]
    if not parts:
        return [schema]
    if any(not _is_annotation(keyword) for keyword in rest):
        parts.append(rest)
    return [schema] if len(parts) == 1 and "anyOf" in schema else parts


def _any_of(schema: Schema) -> list[Schema]:
    """The alternatives of which one must hold."""
    if "anyOf" in schema:
        return list(schema["anyOf"])
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": each} for each in schema["type"]]
    return [schema]


def _types(schema: Schema) -> list[str]:
    """The JSON types that a schema without alternatives allows."""
    if "type" in schema:
        return [schema["type"]]
    listed = values(schema)
    return (
        list(_TYPES) if listed is None else sorted({_TYPE_OF.get(type(value).__name__, "object") for value in listed})
    )


def _is_number(keyword: str, types: Sequence[str]) -> bool:
    return CONCERNS[keyword] == "number" and "integer" in types


def _is_annotation(keyword: str) -> bool:
    return keyword in _ANNOTATIONS or keyword.startswith("x-")


def _fewest(found: Iterable[list[Clash]]) -> list[Clash]:
    return min(found, key=len)
