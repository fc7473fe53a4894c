"""Sets as ints: a wave's state holds three of them, and there are a million states."""

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Index(Generic[T]):
    """Gives each of these things a bit, so that a set of them is one int."""

    def __init__(self, things: Iterable[T]) -> None:
        self._things = tuple(things)
        self._bits = {thing: 1 << place for place, thing in enumerate(self._things)}

    def bit(self, thing: T) -> int:
        """The set of this thing alone."""
        return self._bits[thing]

    def mask(self, things: Iterable[T]) -> int:
        """The set of these things."""
        mask = 0
        for thing in things:
            mask |= self._bits[thing]
        return mask

    def members(self, mask: int) -> Iterator[tuple[T, int]]:
        """Each member with its bit."""
        while mask:
            bit = mask & -mask
            yield self._things[bit.bit_length() - 1], bit
            mask ^= bit
