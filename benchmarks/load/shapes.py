"""How many customers there are at each moment of a run."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

RAMP = 0.1
"""The part of a run in which customers come one after the other."""
CALM = 0.25
"""Customers outside a spike, of those in it."""
SPIKE = (0.4, 0.6)
"""From when to when in a run."""
WAVES = 4
"""Of a soak: how often it gets quiet and busy again."""


class ShapeName(StrEnum):
    """The shapes that there are."""

    STEADY = "steady"
    SPIKE = "spike"
    SOAK = "soak"


@dataclass(frozen=True)
class Shape:
    """How a run goes, unless something else is asked for."""

    says: str
    users: int
    seconds: int
    share: Callable[[float], float]
    """Of all customers, at a moment between 0 and 1."""

    def users_at(self, second: float, users: int, seconds: float) -> int | None:
        """How many customers there are at a second of the run, at least one; None when it is over."""
        if second >= seconds:
            return None
        return max(1, round(users * self.share(second / seconds)))


def _steady(moment: float) -> float:
    return min(1.0, moment / RAMP)


def _spike(moment: float) -> float:
    begins, ends = SPIKE
    return 1.0 if begins <= moment < ends else CALM * _steady(moment)


def _soak(moment: float) -> float:
    """Between half of the customers and all of them, in slow waves, as days go."""
    return _steady(moment) * (0.75 + 0.25 * math.sin(2 * math.pi * WAVES * moment))


SHAPES: Mapping[ShapeName, Shape] = {
    ShapeName.STEADY: Shape("all customers, all the time", users=16, seconds=60, share=_steady),
    ShapeName.SPIKE: Shape("a quarter of them, and all of them for a fifth of the run", 48, 90, _spike),
    ShapeName.SOAK: Shape("half of them to all of them, in slow waves, for long", 16, 1800, _soak),
}
