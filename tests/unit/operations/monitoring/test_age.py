"""The age of the oldest message, from counters alone."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from operations.monitoring import age
from operations.monitoring.age import OldestAge

Seconds = list[tuple[int, int]]
"""For each second, how many messages come and how many leave after it."""


def test_a_queue_that_stands_still_grows_old() -> None:
    """The message that stays is as old as it was watched; when it leaves, the next one's age shows."""
    oldest = OldestAge()
    told = [
        oldest.observe(now, waiting, left) for now, waiting, left in [(0, 1, 0), (10, 1, 0), (20, 2, 0), (30, 1, 1)]
    ]
    assert told == [0, 10, 20, 10]


def test_an_empty_queue_has_no_age() -> None:
    """However much went through it."""
    oldest = OldestAge()
    assert [oldest.observe(now, 0, 100 * now) for now in range(5)] == [0.0] * 5


def test_counters_that_begin_anew_begin_a_new_curve() -> None:
    """After a restart of the broker's statistics the age is that since then, not nonsense."""
    oldest = OldestAge()
    oldest.observe(0, 5, 1_000)
    assert oldest.observe(60, 5, 0) == 0.0
    assert oldest.observe(70, 5, 0) == 10.0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=60))
def test_it_is_never_too_much_and_right_to_the_interval(seconds: Seconds) -> None:
    """Against a queue whose messages' true ages are known, observed every second."""
    oldest, queue, left = OldestAge(), deque[int](), 0
    for now, (come, leave) in enumerate(seconds):
        for _ in range(min(leave, len(queue))):
            queue.popleft()
            left += 1
        queue.extend([now] * come)
        told = oldest.observe(now, len(queue), left)
        assert told == (now - queue[0] if queue else 0.0)


def test_it_remembers_a_bounded_number_of_points() -> None:
    """A queue from which nothing leaves for ever keeps its true age, in bounded memory."""
    oldest = OldestAge()
    told = [oldest.observe(now, now + 1, 0) for now in range(5 * age.MOST_POINTS)]
    assert told == list(range(5 * age.MOST_POINTS))
    assert len(oldest) <= age.MOST_POINTS
