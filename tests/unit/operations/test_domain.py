"""The rules of the dead-letter office."""

from functools import reduce
from itertools import permutations

import pytest

from operations.domain import (
    Outcome,
    Tally,
    fingerprint,
    identity,
    reach,
    steps,
    too_many_failed,
    truer,
    without_repeats,
)


@pytest.mark.parametrize(
    ("total", "sizes"),
    [(0, []), (1, [1]), (7, [1, 6]), (11, [1, 10]), (111, [1, 10, 100]), (1_500, [1, 10, 100, 1_000, 389])],
)
def test_a_run_goes_on_in_growing_steps(total: int, sizes: list[int]) -> None:
    """One, ten, a hundred: all of them together are everything."""
    assert steps(total) == sizes
    assert [reach(total, step) for step in range(len(sizes))] == [sum(sizes[: step + 1]) for step in range(len(sizes))]


@pytest.mark.parametrize("told", list(permutations(Outcome)), ids="-".join)
def test_an_effect_that_happened_has_happened(told: tuple[Outcome, ...]) -> None:
    """Receipts come in any order, and again; `applied` is the truth once it was told."""
    assert reduce(truer, told, None) is Outcome.APPLIED


def test_a_late_receipt_is_better_than_none() -> None:
    """That nobody answered in time says nothing about what happens then."""
    assert truer(Outcome.NO_RECEIPT, Outcome.NO_EFFECT) is Outcome.NO_EFFECT
    assert truer(Outcome.NO_RECEIPT, Outcome.FAILED) is Outcome.FAILED
    assert truer(Outcome.FAILED, Outcome.NO_EFFECT) is Outcome.FAILED


@pytest.mark.parametrize(
    ("answered", "failed", "forgiven", "tolerate", "stops"),
    [
        (1, 0, 0, 0.0, False),
        (1, 1, 0, 0.1, True),
        (11, 1, 0, 0.1, False),
        (11, 2, 0, 0.1, True),
        (11, 1, 0, 0.0, True),
        (11, 2, 2, 0.1, False),
        (12, 3, 2, 0.1, False),
        (12, 4, 2, 0.1, True),
        (5, 5, 0, 1.0, False),
    ],
)
def test_a_run_stops_when_too_many_fail(
    answered: int,
    failed: int,
    forgiven: int,
    tolerate: float,
    *,
    stops: bool,
) -> None:
    """The share of what was answered counts; what an operator has forgiven does not."""
    tally = Tally(100, answered, answered - failed, 0, failed, 0)
    assert too_many_failed(tally, forgiven, tolerate) is stops


def test_what_failed_alike_has_one_fingerprint() -> None:
    """Ids, numbers and quoted values do not tell failures apart; queue, error and wording do."""
    one = fingerprint("a.b", "Reject", "unknown order 0197f3c2-5a00-7000-8000-00000000d1ad at 'x', line 7")
    assert one == fingerprint("a.b", "Reject", "unknown order 11111111-5a00-7000-8000-00000000d1ad at 'yy', line 12")
    others = {
        fingerprint("a.c", "Reject", "unknown order 1 at 'x', line 7"),
        fingerprint("a.b", "Poison", "unknown order 1 at 'x', line 7"),
        fingerprint("a.b", "Reject", "unknown parcel 1 at 'x', line 7"),
    }
    assert len({one, *others}) == 4


def test_two_messages_are_never_taken_for_one() -> None:
    """Poison may steal another message's id, or have none: the body and the number of the re-drive count, too."""
    known = [
        identity("id", 0, b"a"),
        identity("id", 0, b"b"),
        identity("id", 1, b"a"),
        identity(None, 0, b"a"),
        identity(None, 0, b"b"),
    ]
    assert len(set(known)) == len(known)
    assert identity("id", 0, b"a") == known[0]


def test_no_id_is_twice_in_flight() -> None:
    """The broker tells what it returns by its id: two of one id wait for each other; those without any do not."""
    assert without_repeats(["a", "b", "a", "c"], 50) == 2
    assert without_repeats([None, None, None], 50) == 3
    assert without_repeats(["a", "b", "c"], 2) == 2
    assert without_repeats([], 50) == 0
