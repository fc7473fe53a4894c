"""What a test tells the checker, and what the checker tells a test."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Invariant = Literal["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9"]


@dataclass(frozen=True, order=True, slots=True)
class Violation:
    """One breach of an invariant, as a sentence that names the order or the queue."""

    invariant: Invariant
    message: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.message}"


class Ending(StrEnum):
    """How an accepted order is to end."""

    READY = "ready"
    """Shipped and paid."""
    OVERDUE = "overdue"
    """Shipped; the capture was refused."""
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    ANY = "any"
    """In whichever final state, settled: what ends it is a race, or the client never had an answer."""
    PARKED = "parked"
    """Not at all, as long as one of its messages is parked."""

    @property
    def status(self) -> str:
        """The final status of such an order."""
        return "ready" if self is Ending.OVERDUE else self.value


@dataclass(frozen=True, order=True, slots=True)
class Parked:
    """A message that is to be in a dead-letter queue, and the class of the error that put it there."""

    queue: str
    """The work queue that it was parked from."""
    order_id: str
    error: str
