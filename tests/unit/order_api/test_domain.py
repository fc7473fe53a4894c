"""The rules: status from facts, totals from prices."""

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import Money
from order_api.domain import (
    FINAL,
    MAX_LINES,
    MAX_QUANTITY,
    MAX_TOTAL,
    RULES,
    Patience,
    Refusal,
    Status,
    Unpriceable,
    contradictory,
    price,
    settled,
    status_of,
)

FORWARD = ("payment.authorized", "inventory.reserved", "shipping.ready", "payment.captured", "inventory.shipped")
PRICES = {
    "MUG-01": Money(amount=1290, currency="EUR"),
    "PEN-01": Money(amount=390, currency="EUR"),
    "GOLD-01": Money(amount=MAX_TOTAL, currency="EUR"),
    "BENTO-01": Money(amount=3200, currency="JPY"),
}


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ((), "pending"),
        (FORWARD[:1], "authorized"),
        (FORWARD[:2], "reserved"),
        (FORWARD[:3], "ready"),
        (FORWARD, "ready"),
        (("payment.captured",), "ready"),
        (("payment.declined",), "rejected"),
        (("payment.authorized", "inventory.rejected"), "cancelling"),
        (("payment.authorized", "inventory.rejected", "payment.voided"), "cancelled"),
        (("payment.authorized", "inventory.reserved", "shipping.failed"), "cancelling"),
        (("shipping.cancelled", "inventory.reserved"), "cancelling"),
        (("inventory.released",), "cancelling"),
        (("shipping.ready", "shipping.cancel_refused"), "ready"),
        (("shipping.ready", "payment.capture_failed"), "ready"),
        (("order.cancel_requested",), "pending"),
    ],
)
def test_status_of_facts(facts: tuple[str, ...], status: str) -> None:
    """Each line of LIFECYCLE.md's table gives its status."""
    assert status_of(set(facts)) == status


FACTS = sorted({fact for rule in RULES for fact in rule.facts} | {"inventory.shipped", "payment.capture_failed"})


@given(st.sets(st.sampled_from(FACTS)))
def test_the_first_rule_that_matches_gives_the_status(facts: set[str]) -> None:
    """The rules are read in order; where none matches the order is pending."""
    expected = [rule.status for rule in RULES if rule.facts & facts] or [Status.PENDING]
    assert status_of(facts) == expected[0]


@given(st.sets(st.sampled_from(FACTS)), st.sampled_from(FACTS))
def test_final_is_stable(facts: set[str], later: str) -> None:
    """No later fact changes a final status, unless the facts contradict each other."""
    before = status_of(facts)
    if before.final and not contradictory(facts | {later}):
        assert status_of(facts | {later}) == before


def test_final_lines_exclude_each_other() -> None:
    """Any two facts of different final statuses contradict, two of the same do not."""
    final = [(fact, rule.status) for rule in RULES if rule.status in FINAL for fact in rule.facts]
    for (one, first), (other, second) in combinations(final, 2):
        assert contradictory({one, other}) == (first != second)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (set[str](), False),
        ({"payment.declined"}, True),
        ({"payment.voided"}, True),
        ({"shipping.ready", "payment.captured"}, False),
        ({"shipping.ready", "inventory.shipped"}, False),
        ({"payment.captured", "inventory.shipped"}, True),
        ({"shipping.ready", "payment.capture_failed", "inventory.shipped"}, False),
    ],
)
def test_settled(facts: set[str], expected: bool) -> None:  # noqa: FBT001 - a case's expectation
    """An order is settled when money and goods are where they belong."""
    assert settled(facts) is expected


@given(st.lists(st.tuples(st.sampled_from(["MUG-01", "PEN-01"]), st.integers(1, 100)), min_size=1, max_size=MAX_LINES))
def test_total_is_the_sum_of_the_lines(wanted: list[tuple[str, int]]) -> None:
    """The total is Σ unit price * quantity, before and after lines of the same product are merged."""
    basket = price(wanted, "EUR", PRICES)
    assert basket.total.amount == sum(PRICES[sku].amount * quantity for sku, quantity in wanted)
    assert basket.total.amount == sum(line.unit_price * line.quantity for line in basket.lines)
    assert len({line.sku for line in basket.lines}) == len(basket.lines)


def test_a_currency_without_minor_units() -> None:
    """Yen are counted in yen."""
    assert price([("BENTO-01", 3)], "JPY", PRICES).total == Money(amount=9600, currency="JPY")


@pytest.mark.parametrize(
    ("wanted", "refusal", "line"),
    [
        ([("MUG-01", 1), ("NIL-01", 1)], Refusal.UNKNOWN_SKU, 1),
        ([("MUG-01", 1), ("BENTO-01", 1)], Refusal.OTHER_CURRENCY, 1),
        ([("MUG-01", MAX_QUANTITY), ("MUG-01", 1)], Refusal.TOO_MANY, 1),
        ([("GOLD-01", 2)], Refusal.TOO_EXPENSIVE, None),
    ],
)
def test_refusals(wanted: list[tuple[str, int]], refusal: Refusal, line: int | None) -> None:
    """Lines that make no order are refused, naming the one to blame."""
    with pytest.raises(Unpriceable) as raised:
        price(wanted, "EUR", PRICES)
    assert (raised.value.refusal, raised.value.line) == (refusal, line)


def test_the_greatest_total() -> None:
    """A total of exactly the limit is an order."""
    assert price([("GOLD-01", 1)], "EUR", PRICES).total.amount == MAX_TOTAL


ACCEPTED = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
PATIENCE = Patience(first=10, longest=60, redrives=3, expiry=1000)


@pytest.mark.parametrize(
    ("age", "redrives", "wait"),
    [(0, 0, 10), (10, 1, 20), (30, 2, 40), (70, 3, 60), (70, 10_000, 60), (990, 4, 10), (1000, 4, 60), (9999, 4, 60)],
)
def test_deadlines_double_up_to_the_longest_and_mind_the_expiry(age: int, redrives: int, wait: int) -> None:
    """Each wait is twice the one before, none is longer than the longest, none passes over the moment of expiry."""
    now = ACCEPTED + timedelta(seconds=age)
    assert PATIENCE.deadline(now, ACCEPTED, redrives) == now + timedelta(seconds=wait)


@pytest.mark.parametrize(
    ("age", "redrives", "reason"),
    [(999, 0, None), (999, 2, None), (999, 3, "deadline"), (1000, 0, "expiry"), (1000, 3, "expiry")],
)
def test_patience_ends(age: int, redrives: int, reason: str | None) -> None:
    """It ends after so many re-drives in vain, or with the order's expiry."""
    assert PATIENCE.exhausted(ACCEPTED + timedelta(seconds=age), ACCEPTED, redrives) == reason
