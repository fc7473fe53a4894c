"""How much of a process a key may have: as much as by the library's own counter."""

import asyncio

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from rest.callers import Caller
from rest.problems import Problem
from rest.share import Share

EAGER, OTHER = (Caller(name, name, frozenset()) for name in ("eager", "other"))
BEGIN = 1_800_000_000.0
"""A window of any length begins there."""


def taken(share: Share, caller: Caller = EAGER) -> bool:
    """Whether the key may send one more."""
    try:
        share.take(caller)
    except Problem:
        return False
    return True


@given(st.integers(1, 5), st.lists(st.sampled_from([0.0, 0.125, 0.5, 1.0, 2.5, 9.75]), max_size=40))
def test_it_counts_as_the_library_does(most: int, pauses: list[float]) -> None:
    """At whatever moments requests come: the same ones are refused."""
    rate = f"{most} per 4 seconds"

    async def compare() -> None:
        share, limiter = Share(rate), SlidingWindowCounterRateLimiter(MemoryStorage())
        with time_machine.travel(BEGIN, tick=False) as clock:
            for pause in pauses:
                clock.shift(pause)
                assert taken(share) == await limiter.hit(parse(rate), "eager")

    asyncio.run(compare())


def test_nobody_gets_twice_the_rate_at_the_turn_of_a_window() -> None:
    """What was sent just before still counts; a key's requests are no other's."""
    share = Share("4/minute")
    with time_machine.travel(BEGIN + 59, tick=False) as clock:
        assert [taken(share) for _ in range(5)] == [True] * 4 + [False]
        assert taken(share, OTHER)
        clock.shift(31)
        assert [taken(share) for _ in range(3)] == [True, True, False]


def test_who_waits_as_long_as_it_says_may_send() -> None:
    """Retry-After is the end of the window, and at least a second."""
    share = Share("2/minute")
    with time_machine.travel(BEGIN + 20, tick=False) as clock:
        assert taken(share)
        assert taken(share)
        with pytest.raises(Problem) as refused:
            share.take(EAGER)
        assert refused.value.headers == {"Retry-After": "40"}
        clock.shift(41)
        assert taken(share)
