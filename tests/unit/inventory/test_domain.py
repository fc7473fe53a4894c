"""What stock covers."""

from contracts import OrderLine, Shortage
from inventory.domain import MOST_REQUESTED, pieces, shortages


def test_pieces_add_up_by_sku() -> None:
    """Lines of one sku count together."""
    lines = [OrderLine(sku=sku, quantity=quantity, unit_price=1) for sku, quantity in [("A", 1), ("B", 2), ("A", 3)]]
    assert pieces(lines) == {"A": 4, "B": 2}


def test_enough_is_enough() -> None:
    """The very last piece can be reserved."""
    assert shortages({"A": 3}, {"A": 3}) == ()


def test_every_shortage_is_named() -> None:
    """All skus that fall short are named, in order, not just the first one."""
    assert shortages({"C": 1, "A": 2, "B": 5}, {"A": 1, "B": 5, "C": 0}) == (
        Shortage(sku="A", requested=2, available=1),
        Shortage(sku="C", requested=1, available=0),
    )


def test_an_unknown_sku_has_nothing_available() -> None:
    """What was never stocked is out of stock."""
    assert shortages({"NEW-01": 1}, {}) == (Shortage(sku="NEW-01", requested=1, available=0),)


def test_a_shortage_beyond_what_can_be_said_is_still_said() -> None:
    """Lines that add up to more than one line may hold are rejected like any other."""
    [shortage] = shortages({"A": 2 * MOST_REQUESTED}, {"A": 5})
    assert (shortage.requested, shortage.available) == (MOST_REQUESTED, 5)
