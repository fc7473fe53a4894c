"""What becomes of a message that failed: another attempt through a tier, or a place where a person sees it."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from messaging.disclosure import in_a_line, without_secrets
from messaging.envelope import ATTEMPT, ERROR_CLASS, ERROR_REASON, FIRST_FAILURE, LAST_FAILURE, Envelope
from messaging.outcome import Reject, Retry
from messaging.topology import DEFAULT_TIERS, Delay
from messaging.unreadable import writable

BROKER_HISTORY = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count")
"""Headers of RabbitMQ's own dead-lettering; republished, they make messages vanish on 3.10."""
MAX_REASON = 1_000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and after which delays, one handler's failed messages are tried again."""

    tiers: tuple[Delay, ...] | None = None
    """The delays, one after another; None takes those of the service's settings."""
    never_park: bool = False
    """For compensations and captures: a passing failure stays in the last tier until it passes."""

    def next_tier(self, envelope: Envelope, error: BaseException) -> Delay | None:
        """The tier for the next attempt; None parks the message."""
        if isinstance(error, Reject):
            return None
        tiers = DEFAULT_TIERS if self.tiers is None else self.tiers
        if envelope.attempt < len(tiers):
            return tiers[envelope.attempt]
        if self.never_park and tiers and isinstance(error, Retry | OSError | TimeoutError):
            return tiers[-1]
        return None

    def is_last(self, envelope: Envelope) -> bool:
        """Whether the tiers are used up: from here on a message that is never parked needs a person's eye."""
        return envelope.attempt >= len(DEFAULT_TIERS if self.tiers is None else self.tiers)


def failure_headers(envelope: Envelope, error: BaseException) -> dict[str, Any]:
    """The message's headers with this failure noted: attempts, first and last failure, the error's class and reason."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    kept = writable({name: value for name, value in envelope.headers.items() if not name.startswith(BROKER_HISTORY)})
    return {
        **kept,
        ATTEMPT: envelope.attempt + 1,
        FIRST_FAILURE: kept.get(FIRST_FAILURE) or now,
        LAST_FAILURE: now,
        ERROR_CLASS: type(error).__name__,
        ERROR_REASON: reason_of(error),
    }


def reason_of(error: BaseException) -> str:
    """What went wrong in a sentence, and where it was raised, without the message's content."""
    text = without_secrets(str(error)) if isinstance(error, Retry | Reject) else f"{in_a_line(error)}{_place(error)}"
    return text.replace("\x00", "")[:MAX_REASON]


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" (at {frames[-1].name}, line {frames[-1].lineno})" if frames else ""


def properties_of(message: Any) -> Mapping[str, Any]:
    """The properties that a message keeps through every attempt."""
    raw = message.raw_message
    return {
        "message_id": raw.message_id,
        "correlation_id": raw.correlation_id,
        "message_type": raw.type,
        "content_type": raw.content_type,
        "content_encoding": raw.content_encoding,
        "timestamp": raw.timestamp,
    }
