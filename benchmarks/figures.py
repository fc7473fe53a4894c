"""Arithmetic of measurements: percentiles, what several rounds say together, and ratios of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of them does not exceed (nearest rank); nan of nothing."""
    if not values:
        return math.nan
    rank = max(1, math.ceil(share * len(values)))
    return sorted(values)[rank - 1]


@dataclass(frozen=True)
class Spread:
    """What several rounds gave."""

    low: float
    middle: float
    """The median."""
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Of nothing, or of what is no number, it is nan."""
        numbers = [value for value in values if not math.isnan(value)]
        return cls(min(numbers), median(numbers), max(numbers)) if numbers else cls(math.nan, math.nan, math.nan)

    def text(self, digits: int = 0) -> str:
        """As it is printed: the median, and how far rounds lay from each other."""
        if math.isnan(self.middle):
            return "-"
        middle, low, high = (f"{value:,.{digits}f}" for value in (self.middle, self.low, self.high))
        return middle if low == high else f"{middle} ({low} to {high})"


def ratios(ours: Sequence[float], others: Sequence[float]) -> Spread:
    """Return what one is of the other, round by round: those of one round met the machine in the same state."""
    return Spread.of(mine / other for mine, other in zip(ours, others, strict=True) if other)
