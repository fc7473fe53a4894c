"""How old the oldest message of a queue is, from counters alone: no message is touched to find out."""

from __future__ import annotations

MOST_POINTS = 1_000
"""Points of the curve that are kept. Beyond it every other one is left out: half as exact, and never unbounded."""


class OldestAge:
    """The curve of arrivals of one queue that is first in, first out.

    When so many messages have left, the oldest is the next one, and it was there as soon as the arrivals exceeded that
    number. Right to the interval of observation, and never too much: of what was there before the first observation
    it says for how long it was watched. Counters that begin anew begin a new curve.
    """

    def __init__(self) -> None:
        self._arrivals: list[tuple[float, int]] = []
        """When it was first seen that so many had arrived."""

    def observe(self, now: float, waiting: int, left: int) -> float:
        """Seconds; 0.0 for an empty queue. `left` counts messages that are gone, from any start."""
        arrived = left + waiting
        if self._arrivals and arrived < self._arrivals[-1][1]:
            self._arrivals = []
        if not self._arrivals or arrived > self._arrivals[-1][1]:
            self._arrivals.append((now, arrived))
        self._arrivals = [point for point in self._arrivals if point[1] > left]
        if len(self._arrivals) > MOST_POINTS:
            del self._arrivals[1::2]
        return now - self._arrivals[0][0] if self._arrivals else 0.0

    def __len__(self) -> int:
        """How many points are kept."""
        return len(self._arrivals)
