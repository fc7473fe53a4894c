"""How much of a process a key may have."""

import math
import time
from dataclasses import dataclass

from limits import parse

from rest.callers import Caller
from rest.problems import Kind, Problem


@dataclass(slots=True)
class _Counts:
    """Requests of a key in the window that runs, and in the one before."""

    window: float
    now: int = 0
    before: int = 0


class Share:
    """The sliding window counter of the library `limits`, whose rates it reads (`500/second`), in memory.

    The window before counts as if its requests had been spread evenly, so that no key gets twice its rate at the turn
    of a window. A request that is refused is not counted. (The library's own takes as long as three layers of HTTP.)
    """

    def __init__(self, rate: str) -> None:
        self._rate = parse(rate)
        self._most = self._rate.amount
        self._seconds = self._rate.get_expiry()
        self._counts: dict[str, _Counts] = {}
        """One for each key that was used here; keys are made by hand, so they are few."""

    def take(self, caller: Caller) -> None:
        """Count a request. Raises Problem when it is one too many."""
        window, passed = divmod(time.time(), self._seconds)
        counts = self._counts.get(caller.key)
        if counts is None:
            counts = self._counts[caller.key] = _Counts(window)
        elif counts.window != window:
            counts.before = counts.now if counts.window == window - 1 else 0
            counts.window, counts.now = window, 0
        left = self._seconds - passed  # of this window, and of what counts of the one before
        if math.floor(counts.before * left / self._seconds) + counts.now >= self._most:
            raise Problem(
                Kind.TOO_MANY_REQUESTS,
                f"This key may send {self._rate} to a process.",
                headers={"Retry-After": str(max(1, math.ceil(left)))},
            )
        counts.now += 1
