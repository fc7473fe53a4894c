"""Personal data in any value: found by the names of the fields that contracts mark, and replaced.

Names, because data is looked at where it is no model any more: in a log line, a stored body, a message that breaks its
contract. No contract gives such a name to anything else (tests/privacy).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast, get_args

from pydantic import BaseModel

from contracts import EVENTS
from contracts.personal import is_personal

ERASED = "erased"
"""What stands where personal data was erased; it satisfies every contract."""


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, bool]]:
    """Names of marked fields, and of those that hold a model with marked ones, and which of the two they are."""
    for name, field in model.model_fields.items():
        inside = [found for inner in _models(field.annotation) for found in _fields(inner)]
        if inside or is_personal(field):
            yield name, not inside
        yield from inside


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


_FOUND = {found for event in EVENTS.values() for found in _fields(event)}
MARKED = frozenset(name for name, marked in _FOUND if marked)
"""Fields that are personal data."""
HOLDERS = frozenset(name for name, marked in _FOUND if not marked)
"""Fields whose value has parts that are, as an address has; any other value there is so as a whole."""


def replaced(value: Any, by: str, marked: frozenset[str] = MARKED) -> Any:
    """A copy in which the values of all marked fields, at whatever depth, are `by`; None stays."""
    if isinstance(value, BaseModel):
        return replaced(value.model_dump(), by, marked)
    if isinstance(value, Mapping):
        fields = cast("Mapping[Any, Any]", value)
        return {
            name: by if _is_personal(name, inner, marked) else replaced(inner, by, marked)
            for name, inner in fields.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [replaced(each, by, marked) for each in cast("list[Any]", value)]
    return value


def _is_personal(name: Any, value: Any, marked: frozenset[str]) -> bool:
    whole = not isinstance(value, Mapping | BaseModel)
    return value is not None and (name in marked or (name in HOLDERS and whole))


def is_erased(model: BaseModel) -> bool:
    """Whether everything in it that is personal was erased."""
    fields = type(model).model_fields
    said = {getattr(model, name) for name, field in fields.items() if is_personal(field)}
    return said <= {ERASED, None} and ERASED in said
