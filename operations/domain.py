"""The rules of the dead-letter office: which dead letters are alike, what a replay came to, how far a run may go."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a dead letter stands."""

    OPEN = "open"
    """Nobody has decided about it."""
    REPLAYING = "replaying"
    """It is to be sent, or was sent, and has no receipt yet."""
    DONE = "done"
    """A replay was handled."""
    DISCARDED = "discarded"
    """An operator gave it up, with a reason."""
    EDITED = "edited"
    """Another version of it was sent in its place."""


class Outcome(StrEnum):
    """What came of one replay."""

    APPLIED = "applied"
    NO_EFFECT = "no-effect"
    """The message, or what it tells, was known already."""
    FAILED = "failed"
    """It is back among the dead letters."""
    NO_RECEIPT = "no-receipt"
    """Nobody has answered in time; it may still come."""
    NOT_SENT = "not-sent"
    """The run was ended before its turn came."""


_WEIGHT = {Outcome.NOT_SENT: 0, Outcome.NO_RECEIPT: 1, Outcome.NO_EFFECT: 2, Outcome.FAILED: 3, Outcome.APPLIED: 4}


def truer(known: Outcome | None, told: Outcome) -> Outcome:
    """What came of a replay, when both were told of it in any order: an effect that happened has happened.

    Broker and services repeat themselves after a crash, so one replay may be told of as applied, as without effect
    (its copy), and as failed (a copy that was parked).
    """
    return told if known is None or _WEIGHT[told] > _WEIGHT[known] else known


class RunState(StrEnum):
    """Where a replay of several dead letters stands."""

    RUNNING = "running"
    PAUSED = "paused"
    """An operator holds it."""
    STOPPED = "stopped"
    """It holds itself: too many failed, or receipts are missing."""
    ENDED = "ended"
    """An operator ended it before it was through."""
    DONE = "done"


FIRST_STEP, GROWTH = 1, 10
"""A run goes on in steps of 1, 10, 100, …: each must be answered well before the next, larger one begins."""


def steps(total: int) -> list[int]:
    """The sizes of a run's steps."""
    sizes: list[int] = []
    size = FIRST_STEP
    while total > 0:
        sizes.append(min(size, total))
        total -= sizes[-1]
        size *= GROWTH
    return sizes


def reach(total: int, step: int) -> int:
    """How many dead letters a run has sent at the end of that step; steps count from 0."""
    return sum(steps(total)[: step + 1])


@dataclass(frozen=True, slots=True)
class Pace:
    """How carefully a run goes on."""

    rate: float = 50.0
    """Messages a second at most."""
    tolerate: float = 0.1
    """The share of failures, of what was answered, from which on it stops."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a run has come."""

    total: int
    sent: int
    applied: int
    no_effect: int
    failed: int
    no_receipt: int

    @property
    def answered(self) -> int:
        """Those whose outcome is known."""
        return self.applied + self.no_effect + self.failed

    @property
    def waiting(self) -> int:
        """Those that were sent and have no answer yet."""
        return self.sent - self.answered - self.no_receipt


def too_many_failed(tally: Tally, forgiven: int, tolerate: float) -> bool:
    """Whether a run must hold: more than that share of what was answered since the last start has failed."""
    failed = tally.failed - forgiven
    return failed > 0 and failed > tolerate * max(1, tally.answered - forgiven)


_VARIABLE = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"  # ids
    r"|\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F]{16,}\b"  # addresses, digests
    r"|\d+(?:\.\d+)?"  # numbers
    r"|'[^']*'|\"[^\"]*\""  # quoted values
)


def fingerprint(queue: str, error_class: str, reason: str) -> str:
    """The same for dead letters of one queue that failed alike: ids, numbers and quoted values do not count."""
    shape = _VARIABLE.sub("*", reason)
    return hashlib.sha256(f"{queue}|{error_class}|{shape}".encode()).hexdigest()[:12]


def identity(message_id: str | None, redrive: object, body: bytes) -> str:
    """What makes a dead letter of a queue the same one again, whether its publisher gave it an id or not."""
    digest = hashlib.sha256(body).hexdigest()
    return f"{message_id or ''}|{redrive}|{digest}"


def without_repeats(ids: Sequence[str | None], most: int) -> int:
    """How many of these may be in flight together: no id twice, since the broker tells what it returns by id."""
    seen: set[str] = set()
    for count, each in enumerate(ids[:most]):
        if each is not None and each in seen:
            return count
        seen.add(each or f"none {count}")
    return min(len(ids), most)
