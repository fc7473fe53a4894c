"""Where the arguments of a route's function come from, read once, when the route is made."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.security import SecurityScopes

Field = Any
"""FastAPI's ModelField, which has no public name."""

_PLAIN: tuple[object, ...] = (str, str | None, UUID)
"""Types of parameters that are one text; FastAPI has its own rules for lists and models of them."""


class Unacceptable(Exception):  # noqa: N818 - an outcome
    """A part of the request is not what the function takes."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function, and where each of its arguments comes from."""

    function: Callable[..., Awaitable[Any]]
    dependencies: tuple[tuple[str | None, "Call"], ...]
    headers: tuple[Field, ...]
    path: tuple[Field, ...]
    fixed: Mapping[str, Any]
    request: tuple[str, ...]
    response: tuple[str, ...]

    @classmethod
    def of(cls, what: Dependant) -> "Call | None":
        """Take what FastAPI has found out about a function; None for one that only FastAPI can call."""
        dependencies = [(each.name, cls.of(each)) for each in what.dependencies]
        known = tuple((name, call) for name, call in dependencies if call is not None)
        if what.call is None or not _is_simple(what) or len(known) < len(dependencies):
            return None
        scopes = SecurityScopes([*dict.fromkeys([*(what.parent_oauth_scopes or ()), *(what.own_oauth_scopes or ())])])
        return cls(
            what.call,
            known,
            tuple(what.header_params),
            tuple(what.path_params),
            {what.security_scopes_param_name: scopes} if what.security_scopes_param_name else {},
            _given(what.request_param_name, what.http_connection_param_name),
            _given(what.response_param_name),
        )

    async def arguments(self, request: Request, response: Response) -> dict[str, Any]:
        """Return the arguments, but for a body. Raises Unacceptable, and what dependencies raise."""
        found = {**self.fixed}
        for name, call in self.dependencies:
            value = await call.function(**await call.arguments(request, response))
            if name is not None:
                found[name] = value
        for field in self.path:
            found[field.name] = valid(field, request.path_params[field.alias])
        for field in self.headers:
            text = request.headers.get(field.alias)
            found[field.name] = _default(field) if text is None else valid(field, text)
        for name in self.request:
            found[name] = request
        for name in self.response:
            found[name] = response
        return found


def _given(*names: str | None) -> tuple[str, ...]:
    return tuple(name for name in names if name is not None)


def _is_simple(what: Dependant) -> bool:
    """Tell whether a function is `async`, yields nothing, and takes what `Call.arguments` finds."""
    return (
        (iscoroutinefunction(what.call) or iscoroutinefunction(type(what.call).__call__))
        and not (what.query_params or what.cookie_params or any(each.body_params for each in what.dependencies))
        and not (what.background_tasks_param_name or what.concurrency)
        and all(_is_text(each) for each in (*what.header_params, *what.path_params))
    )


def _is_text(field: Field) -> bool:
    return field.field_info.annotation in _PLAIN and field.validation_alias in {None, field.alias}


def valid(field: Field, value: object) -> Any:
    """Return the value as the field's type has it. Raises Unacceptable."""
    read, errors = field.validate(value)
    if errors:
        raise Unacceptable
    return read


def _default(field: Field) -> Any:
    if field.field_info.is_required():
        raise Unacceptable
    return field.get_default()
