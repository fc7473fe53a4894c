"""What an order costs, for any catalogue and any wish: exact, in one currency, or refused for a stated reason."""

import random
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from contracts import Money
from order_api.domain import MAX_QUANTITY, MAX_TOTAL, Basket, Refusal, Unpriceable, price

Lines = list[tuple[str, int]]

CURRENCIES = ("EUR", "JPY", "KWD")
"""With two, no and three decimals: all are counted in minor units, and nothing here may depend on how many."""
SKUS = ("BENTO-01", "GOLD-01", "MUG-01", "PEN-01")

amount = st.one_of(st.integers(0, 10_000), st.integers(0, 10**15), st.just(10**15))
some = st.dictionaries(st.sampled_from(SKUS), st.builds(Money, amount=amount, currency=st.sampled_from(CURRENCIES)))
yen = st.fixed_dictionaries({sku: st.builds(Money, amount=amount, currency=st.just("JPY")) for sku in SKUS})
prices = st.one_of(some, yen)
currencies = st.sampled_from(("JPY", *CURRENCIES))
quantity = st.one_of(st.integers(1, 5), st.integers(1, MAX_QUANTITY), st.just(MAX_QUANTITY))
wish = st.lists(st.tuples(st.sampled_from(SKUS), quantity), min_size=1, max_size=12)


def refusal(wanted: Lines, currency: str, catalogue: Mapping[str, Money]) -> Refusal | None:
    """Why this makes no order: the first line to blame decides, then the total."""
    for count, (sku, _) in enumerate(wanted, start=1):
        if sku not in catalogue:
            return Refusal.UNKNOWN_SKU
        if catalogue[sku].currency != currency:
            return Refusal.OTHER_CURRENCY
        if merged(wanted[:count])[sku] > MAX_QUANTITY:
            return Refusal.TOO_MANY
    return Refusal.TOO_EXPENSIVE if worth(wanted, catalogue) > MAX_TOTAL else None


def merged(wanted: Lines) -> dict[str, int]:
    """How many pieces of each sku, in order of first mention."""
    return {sku: sum(quantity for each, quantity in wanted if each == sku) for sku, _ in wanted}


def worth(wanted: Lines, catalogue: Mapping[str, Money]) -> int:
    """Σ unit price * quantity of the lines as they were wished."""
    return sum(catalogue[sku].amount * quantity for sku, quantity in wanted)


def priced(wanted: Lines, currency: str, catalogue: Mapping[str, Money]) -> Basket | Refusal:
    """The basket, or why there is none."""
    try:
        return price(wanted, currency, catalogue)
    except Unpriceable as unpriceable:
        return unpriceable.refusal


@given(wish, currencies, prices)
def test_the_total_is_exact_or_refused(wanted: Lines, currency: str, catalogue: dict[str, Money]) -> None:
    """Total = Σ unit price * quantity in minor units of the one currency; each sku has one line; nothing wraps."""
    basket = priced(wanted, currency, catalogue)
    if (expected := refusal(wanted, currency, catalogue)) is not None:
        assert basket == expected
        return
    assert isinstance(basket, Basket)
    assert basket.total == Money(amount=worth(wanted, catalogue), currency=currency)
    assert basket.total.amount <= MAX_TOTAL < 2**63
    assert [(line.sku, line.quantity) for line in basket.lines] == list(merged(wanted).items())


@given(wish, currencies, prices, st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(
    wanted: Lines, currency: str, catalogue: dict[str, Money], chance: random.Random
) -> None:
    """The same lines in another order cost the same, or are refused, too."""
    shuffled = chance.sample(wanted, len(wanted))
    one, other = priced(wanted, currency, catalogue), priced(shuffled, currency, catalogue)
    assert isinstance(one, Basket) == isinstance(other, Basket)
    if isinstance(one, Basket) and isinstance(other, Basket):
        assert one.total == other.total
        assert sorted(one.lines, key=lambda line: line.sku) == sorted(other.lines, key=lambda line: line.sku)
