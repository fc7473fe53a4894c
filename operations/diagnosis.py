"""What is wrong with a dead letter's message, held against the contract; fields and rules are named, never values."""

from dataclasses import dataclass
from typing import Any

from contracts import EVENTS
from messaging.disclosure import masked
from messaging.envelope import Poison, read_event
from operations.custody import restored
from operations.models import DeadLetter


@dataclass(frozen=True)
class _Raw:
    content_type: str | None
    content_encoding: str | None
    type: str | None
    message_id: str | None


@dataclass(frozen=True)
class _Message:
    body: bytes
    raw_message: _Raw


def problem(letter: DeadLetter) -> str | None:
    """Why no consumer can read it; None if it fits its contract, and failed for another reason."""
    kind = EVENTS.get(letter.event)
    if kind is None:
        return f"there is no event {letter.event!r} in the contracts"
    taken = restored(letter)
    raw = _Raw(taken.content_type, taken.content_encoding, taken.type, taken.message_id)
    try:
        read_event(kind, _Message(taken.body, raw))
    except Poison as poison:
        return str(poison)
    return None


def shown(payload: Any) -> Any:
    """A payload as people may see it: personal data and secrets masked."""
    return masked(payload)
