"""What can become of a message besides the events that its handler returns: a closed set of three exceptions.

A business "no" is an event, never an exception.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.event import Event


class Retry(Exception):  # noqa: N818 - reads as the outcome that it is
    """The work failed for a passing reason: try this message again later, through the retry tiers.

    Subclass it to name the reason (`GatewayUnavailable`); the class and the text travel with the message.
    """


class Reject(Exception):  # noqa: N818 - reads as the outcome that it is
    """No retry can help: park the message in its dead-letter queue at once, with this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Wait(Exception):  # noqa: N818 - reads as the outcome that it is
    """The remote end is known to be away (its circuit breaker is open): hold this message, no attempt is counted."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds
        """How long to hold it before asking again."""


@dataclass(frozen=True, slots=True)
class Again:
    """An event that is said again under a re-drive number: every service behind it says again what it said."""

    event: Event
    redrive: int
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    """The trace context in which it was said first: the re-drive goes on with that trace."""
