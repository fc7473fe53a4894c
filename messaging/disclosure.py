"""What may be told of an error or in a log line: the kind, the place and the rule, never the data.

An error's first line says what went wrong. What follows repeats data: Pydantic the input, PostgreSQL the failing row,
SQLAlchemy the parameters.
"""

from __future__ import annotations

import re
import textwrap
import traceback
from collections.abc import Mapping
from typing import Any, cast

from messaging.database import sqlstate
from messaging.personal import MARKED, replaced

MASKED = "***"
SECRETS = frozenset({"api_key", "authorization", "password", "secret", "token"})
"""Names under which a secret is logged if it is: masked as personal data is."""

DATA_EXCEPTION = "22"
"""The class of PostgreSQL's errors whose first line already quotes the value."""

_SECRET = re.compile(
    r"(?P<keep>\bBearer\s+)\S+"
    r"|(?P<user>://[^\s:/@]*:)[^\s/@]+(?=@)"  # a password in a URL
    r"|\b[a-z]+_[0-9a-f]{12}_[A-Za-z0-9_-]{43}",  # an API key
    re.IGNORECASE,
)

_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
"""What may be the number of a payment card (ISO/IEC 7812), if its check digit is right."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """The text with bearer tokens, API keys, the passwords of URLs and numbers of payment cards masked."""
    text = _SECRET.sub(lambda found: f"{found['keep'] or found['user'] or ''}{MASKED}", text)
    return _CARD.sub(lambda found: MASKED if _has_check_digit(found[0]) else found[0], text)


def _has_check_digit(number: str) -> bool:
    """Luhn's formula."""
    digits = [int(each) for each in reversed(number) if each.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def in_a_line(error: BaseException) -> str:
    """What went wrong, without the data that it went wrong with."""
    code = sqlstate(error) or ""
    if code.startswith(DATA_EXCEPTION):
        return f"a value does not fit its column (SQLSTATE {code})"
    return without_secrets(str(error).partition("\n")[0])


def known_id(value: object) -> str | None:
    """An id that came from outside, if it is one of ours: whatever else stands in its place is not repeated."""
    text = str(value)
    return text if _ID.fullmatch(text) else None


def trace(error: BaseException, told: frozenset[int] = frozenset()) -> str:
    """The traceback of an error and of what led to it, each with its first line only."""
    parts: list[str] = []
    told |= {id(error)}
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in told:
        parts += [trace(before, told), "\nwhich led to:\n\n"]
    parts += ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)]
    parts.append(f"{type(error).__qualname__}: {in_a_line(error)}\n")
    if isinstance(error, BaseExceptionGroup):
        inside = cast("BaseExceptionGroup[BaseException]", error).exceptions
        parts += [textwrap.indent(trace(each, told), "  | ") for each in inside]
    return "".join(parts)


def masked(value: Any) -> Any:
    """What a log may show of a value: personal data and secrets masked, in models and mappings at whatever depth."""
    return _shown(replaced(value, MASKED, MARKED | SECRETS))


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {name: _shown(inner) for name, inner in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list):
        return [_shown(each) for each in cast("list[Any]", value)]
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {in_a_line(value)}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return without_secrets(value if isinstance(value, str) else str(value))
