"""A handler's signature is its contract: what it hears, what it needs, and what it may say."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from sqlmodel.ext.asyncio.session import AsyncSession

from contracts.event import Event
from messaging.order_row import OrderRow

Said = Event | Sequence[Event] | None
Handler = Callable[..., Awaitable[Said]]
Prepare = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a handler's annotations say."""

    events: tuple[type[Event], ...]
    returns: tuple[type[Event], ...]
    creates_row: bool
    parameters: tuple[tuple[str, str], ...]
    """(parameter, role) with the roles event, row, session, prepared."""

    def arguments(self, event: Event, prepared: object, row: OrderRow | None, db: AsyncSession) -> dict[str, object]:
        """The keyword arguments of one call."""
        given = {"event": event, "prepared": prepared, "row": row, "session": db}
        return {name: given[role] for name, role in self.parameters}


def read_signature(handler: Handler, row_model: type[OrderRow] | None, prepare: Prepare | None) -> Signature:
    """Read a handler's annotations. Raises TypeError, naming handler and parameter, for one it cannot place."""
    name = getattr(handler, "__qualname__", repr(handler))
    hints = get_type_hints(handler)
    roles: dict[str, str] = {}
    events: tuple[type[Event], ...] = ()
    creates_row = False
    for parameter in inspect.signature(handler).parameters:
        if parameter not in hints:
            msg = f"{name}: parameter {parameter!r} has no annotation"
            raise TypeError(msg)
        options = _options(hints[parameter])
        if all(_is_event(option) for option in options):
            roles[parameter], events = "event", options
        elif row_model is not None and row_model in options:
            roles[parameter], creates_row = "row", type(None) not in options
        elif options == (AsyncSession,):
            roles[parameter] = "session"
        elif prepare is not None:
            roles[parameter] = "prepared"
        else:
            msg = f"{name}: nothing provides parameter {parameter!r} of type {hints[parameter]}"
            raise TypeError(msg)
    for role in ("event", "row", "session", "prepared"):
        if list(roles.values()).count(role) > 1:
            msg = f"{name}: more than one parameter is its {role}"
            raise TypeError(msg)
    if not events:
        msg = f"{name}: no parameter is an event"
        raise TypeError(msg)
    return Signature(events, _returns(name, hints.get("return", type(None))), creates_row, tuple(roles.items()))


def _returns(name: str, annotation: object) -> tuple[type[Event], ...]:
    found: list[type[Event]] = []
    for option in _options(annotation):
        if option is type(None):
            continue
        if _is_event(option):
            found.append(option)
        elif get_origin(option) in {list, tuple, Sequence}:
            found.extend(_returns(name, typing.Union[tuple(a for a in get_args(option) if a is not ...)]))  # noqa: UP007
        else:
            msg = f"{name}: returns {option}, which is no event"
            raise TypeError(msg)
    return tuple(dict.fromkeys(found))


def _options(annotation: object) -> tuple[Any, ...]:
    """The members of a union; of anything else, itself."""
    if get_origin(annotation) in {typing.Union, types.UnionType}:
        return get_args(annotation)
    return (annotation,)


def _is_event(option: object) -> bool:
    return isinstance(option, type) and issubclass(option, Event)
