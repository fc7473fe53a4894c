"""Models that hypothesis makes up, changes of them, and messages that they write."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from messaging.asyncapi.profile import Json
from messaging.asyncapi.schemas import payload_schemas

EVENT = "thing.happened.v1"

_WORDS = ("A", "EUR", "", "é")
_LOWEST, _HIGHEST = -2, 2


@dataclass(frozen=True)
class Text:
    """Text between two lengths."""

    low: int = 0
    high: int | None = None

    def annotation(self, _: str) -> Any:
        """The type of a field."""
        return Annotated[str, Field(min_length=self.low or None, max_length=self.high)]

    def values(self) -> st.SearchStrategy[Any]:
        """What may be written."""
        high = 6 if self.high is None else self.high
        return st.integers(self.low, high).flatmap(lambda size: st.text("aB9é", min_size=size, max_size=size))


@dataclass(frozen=True)
class Shaped:
    """Text of a pattern or a format."""

    shape: str

    def annotation(self, _: str) -> Any:
        """The type of a field."""
        types: dict[str, Any] = {"uuid": UUID, "date-time": AwareDatetime}
        return types.get(self.shape) or Annotated[str, Field(pattern=self.shape)]

    def values(self) -> st.SearchStrategy[Any]:
        """What may be written."""
        if self.shape == "uuid":
            return st.uuids().map(str)
        if self.shape == "date-time":
            return st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC)).map(lambda each: each.isoformat())  # noqa: DTZ001
        return st.from_regex(self.shape, fullmatch=True, alphabet="ABCabc123")


@dataclass(frozen=True)
class Number:
    """A number between two bounds, each within or without."""

    whole: bool = True
    ge: int | None = None
    gt: int | None = None
    le: int | None = None
    lt: int | None = None
    step: int | None = None

    def annotation(self, _: str) -> Any:
        """The type of a field."""
        bounds = Field(ge=self.ge, gt=self.gt, le=self.le, lt=self.lt, multiple_of=self.step)
        return Annotated[int, bounds] if self.whole else Annotated[float, bounds]

    def candidates(self) -> list[float]:
        """All of the numbers considered that fit."""
        numbers = [each / 2 for each in range(2 * _LOWEST - 4, 2 * _HIGHEST + 5)]
        return [
            int(number) if number == int(number) else number
            for number in numbers
            if (not self.whole or number == int(number))
            and (self.ge is None or number >= self.ge)
            and (self.gt is None or number > self.gt)
            and (self.le is None or number <= self.le)
            and (self.lt is None or number < self.lt)
            and (self.step is None or number % self.step == 0)
        ]

    def values(self) -> st.SearchStrategy[Any]:
        """What may be written."""
        return st.sampled_from(self.candidates())


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def annotation(self, _: str) -> Any:
        """The type of a field."""
        return bool

    def values(self) -> st.SearchStrategy[Any]:
        """What may be written."""
        return st.booleans()


@dataclass(frozen=True)
class Choice:
    """One of some words: listed in place, or as an enumeration of its own."""

    words: tuple[str, ...]
    named: bool

    def annotation(self, name: str) -> Any:
        """The type of a field."""
        if self.named:
            return StrEnum(f"Choice{name}", {f"W{number}": word for number, word in enumerate(self.words)})
        return Literal[self.words]

    def values(self) -> st.SearchStrategy[Any]:
        """What may be written."""
        return st.sampled_from(self.words)


@dataclass(frozen=True)
class Many:
    """A list, or a set, between two lengths."""

    of: Kind
    low: int = 0
    high: int | None = None
    unique: bool = False

    def annotation(self, name: str) -> Any:
        """The type of a field."""
        inner = self.of.annotation(f"{name}Item")
        size = Field(min_length=self.low or None, max_length=self.high)
        return Annotated[set[inner], size] if self.unique else Annotated[tuple[inner, ...], size]

    def values(self) -> st.SearchStrategy[Any]:
        """What may be written."""
        high = 4 if self.high is None else self.high
        return st.lists(self.of.values(), min_size=self.low, max_size=high, unique=self.unique)


@dataclass(frozen=True)
class Named:
    """Any number of values by name."""

    of: Kind
    low: int = 0
    high: int | None = None

    def annotation(self, name: str) -> Any:
        """The type of a field."""
        inner = self.of.annotation(f"{name}Value")
        return Annotated[dict[str, inner], Field(min_length=self.low or None, max_length=self.high)]

    def values(self) -> st.SearchStrategy[Any]:
        """What may be written."""
        high = 3 if self.high is None else self.high
        return st.dictionaries(st.sampled_from("xyz"), self.of.values(), min_size=self.low, max_size=high)


@dataclass(frozen=True)
class Maybe:
    """A value or null."""

    of: Kind

    def annotation(self, name: str) -> Any:
        """The type of a field."""
        return self.of.annotation(name) | None

    def values(self) -> st.SearchStrategy[Any]:
        """What may be written."""
        return st.none() | self.of.values()


@dataclass(frozen=True)
class Either:
    """A value of one kind or of another."""

    of: Kind
    other: Kind

    def annotation(self, name: str) -> Any:
        """The type of a field."""
        return self.of.annotation(f"{name}One") | self.other.annotation(f"{name}Other")

    def values(self) -> st.SearchStrategy[Any]:
        """What may be written."""
        return self.of.values() | self.other.values()


@dataclass(frozen=True)
class Part:
    """A field of a record. `default` is for one that may be missing; it is not checked, so it need not fit."""

    kind: Kind
    required: bool = True
    default: str | None = None


@dataclass(frozen=True)
class Record:
    """A model of its own."""

    parts: tuple[tuple[str, Part], ...]
    extra: Literal["ignore", "forbid", "allow"] = "ignore"

    def model(self, name: str) -> type[BaseModel]:
        """The class, configured as events are."""
        fields: dict[str, Any] = {
            part: (each.kind.annotation(f"{name}{part.title()}"), ... if each.required else each.default)
            for part, each in self.parts
        }
        config = ConfigDict(extra=self.extra, strict=True, frozen=True)
        return create_model(name, __config__=config, **fields)

    def annotation(self, name: str) -> Any:
        """The type of a field."""
        return self.model(f"Record{name}")

    def values(self) -> st.SearchStrategy[Any]:
        """What may be written: what may be missing, sometimes is."""
        more = {"x": st.sampled_from([1, "one"])} if self.extra == "allow" else {}
        return st.fixed_dictionaries(
            {name: part.kind.values() for name, part in self.parts if part.required},
            optional={name: part.kind.values() for name, part in self.parts if not part.required} | more,
        )


Kind = Text | Shaped | Number | Flag | Choice | Many | Named | Maybe | Either | Record


def is_possible(kind: Kind) -> bool:
    """Whether anything can be written."""
    match kind:
        case Number():
            return bool(kind.candidates())
        case Text():
            return kind.high is None or kind.low <= kind.high
        case Many():
            return is_possible(kind.of) and not (kind.unique and not isinstance(kind.of, Text | Number | Choice))
        case Named() | Maybe() | Either():
            return is_possible(kind.of) and (not isinstance(kind, Either) or is_possible(kind.other))
        case Record():
            return all(is_possible(part.kind) for _, part in kind.parts)
        case _:
            return True


_SHAPES = ("^[A-Z]{2}$", "^[a-c]+$", "uuid", "date-time")
_bound = st.sampled_from([None, None, None, *range(_LOWEST, _HIGHEST + 1)])

texts = st.builds(Text, st.integers(0, 2), st.none() | st.integers(0, 4))
shaped = st.builds(Shaped, st.sampled_from(_SHAPES))
numbers = st.builds(
    Number,
    st.booleans(),
    _bound,
    _bound,
    _bound,
    _bound,
    st.sampled_from([None, None, None, 2, 3, 4]),
)
choices = st.builds(
    Choice, st.lists(st.sampled_from(_WORDS), min_size=1, max_size=2, unique=True).map(tuple), st.booleans()
)
plain: st.SearchStrategy[Kind] = st.one_of(texts, numbers, choices)
"""What a set may hold."""


def _holding(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    lengths = (st.integers(0, 1), st.none() | st.integers(1, 3))
    return st.one_of(
        st.builds(Many, inner, *lengths),
        st.builds(Many, plain, *lengths, st.just(value=True)),
        st.builds(Named, inner, *lengths),
        st.builds(Maybe, inner),
        st.builds(Either, inner, leaves),
        _records(inner),
    )


def _records(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Record]:
    parts = st.builds(Part, inner, st.booleans(), st.sampled_from([None, "d"]))
    return st.builds(
        Record,
        st.dictionaries(st.sampled_from("abc"), parts, min_size=1, max_size=2).map(lambda found: tuple(found.items())),
        st.sampled_from(["ignore", "ignore", "ignore", "forbid", "allow"]),
    )


leaves: st.SearchStrategy[Kind] = st.one_of(texts, shaped, numbers, choices, st.just(Flag()))
kinds: st.SearchStrategy[Kind] = st.recursive(leaves, _holding, max_leaves=3).filter(is_possible)
records = _records(kinds)

FAMILIES: dict[type[Any], st.SearchStrategy[Any]] = {Text: texts, Shaped: shaped, Number: numbers, Choice: choices}
FAMILIES[Many] = st.builds(Many, choices, st.integers(0, 1), st.none() | st.integers(1, 3), st.booleans())
FAMILIES[Named] = st.builds(Named, plain, st.integers(0, 1), st.none() | st.integers(1, 3))


@st.composite
def changed(draw: st.DrawFn, kind: Kind) -> Kind:
    """Another kind: most often the same one with something of it changed."""
    how = draw(st.sampled_from(["of it", "of it", "of it", "null", "another"]))
    if how == "another" or isinstance(kind, Flag):
        return draw(kinds)
    if how == "null":
        return kind.of if isinstance(kind, Maybe) else Maybe(kind)
    if isinstance(kind, Record):
        return draw(changed_record(kind))
    if isinstance(kind, Maybe | Either) or (isinstance(kind, Many | Named) and draw(st.booleans())):
        return replace(kind, of=draw(changed(kind.of)))
    return draw(altered(kind))


@st.composite
def altered(draw: st.DrawFn, kind: Kind) -> Kind:
    """The kind with one of its own properties changed."""
    fresh: dict[str, Any] = {**vars(draw(FAMILIES[type(kind)]))}
    name: str = draw(st.sampled_from(sorted(fresh.keys() - {"of"})))
    return replace(kind, **{name: fresh[name]})


@st.composite
def changed_record(draw: st.DrawFn, record: Record) -> Record:
    """The record with one of its fields changed, gone or renamed, or with one more; or reading others otherwise."""
    parts = dict(record.parts)
    name = draw(st.sampled_from(sorted(parts)))
    part = parts[name]
    match draw(st.sampled_from([*["kind"] * 6, "required", "default", "gone", "renamed", "new", "extra"])):
        case "kind":
            parts[name] = replace(part, kind=draw(changed(part.kind)))
        case "required":
            parts[name] = replace(part, required=not part.required)
        case "default":
            parts[name] = replace(part, default="e")
        case "gone":
            del parts[name]
        case "renamed":
            parts["d"] = parts.pop(name)
        case "new":
            parts["e"] = Part(draw(kinds), draw(st.booleans()))
        case _:
            return replace(record, extra=draw(st.sampled_from(["ignore", "forbid", "allow"])))
    return replace(record, parts=tuple(parts.items()))


def document(model: type[BaseModel]) -> Json:
    """The part of a published document that concerns the schema of one event."""
    kind: Any = model
    message: Json = {
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        "contentType": "application/json",
        "correlationId": {"location": "$message.payload#/event_id"},
        "bindings": {"amqp": {"x-properties": {}}},
    }
    return {
        "components": {"schemas": payload_schemas([kind]), "messages": {EVENT: message}},
        "operations": {},
    }


def written(model: type[BaseModel], value: Json) -> str:
    """The value as the model writes it; what was not given is left out, as before the field was there."""
    return model.model_validate_json(json.dumps(value)).model_dump_json(exclude_unset=True)


@dataclass(frozen=True)
class Side:
    """A model, the document that holds it, and messages that it wrote."""

    model: type[BaseModel]
    document: Json
    messages: list[str]

    @classmethod
    def of(cls, record: Record, values: list[Json]) -> Side:
        """Make the model and let it write the values."""
        model = record.model("Thing")
        return cls(model, document(model), [written(model, value) for value in values])

    @property
    def ignores(self) -> bool:
        """Whether it drops fields that it does not know, as events do."""
        return self.model.model_config.get("extra") == "ignore"


@st.composite
def changes(draw: st.DrawFn, family: type[Any] = Record) -> tuple[Side, Side]:
    """A model and the one that takes its place; for a family, one property of its only field is another."""
    if family is Record:
        old = draw(records)
        new = draw(changed_record(old).filter(is_possible))
    else:
        kind: Kind = draw(FAMILIES[family].filter(is_possible))
        old, new = (Record((("a", Part(each)),)) for each in (kind, draw(altered(kind).filter(is_possible))))
    before, after = (Side.of(each, draw(st.lists(each.values(), min_size=6, max_size=6))) for each in (old, new))
    return before, after
