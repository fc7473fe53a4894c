"""Stock under many hands, on a real database: never oversold, never deadlocked, every piece explained."""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import Event, PaymentAuthorized, ShippingCancelled, ShippingReady
from devstack.servers import PostgresServer
from inventory.app import build
from inventory.models import Stock
from inventory.settings import Settings
from inventory.stock import hold
from messaging.order_row import OrderRow
from messaging.rows import locked
from messaging.service import Service
from tests.properties.warehouse import Warehouse, about, deadlocks, paid, received, warehouse

pytestmark = pytest.mark.database

CloneDatabase = Callable[[str], Awaitable[str]]

HOT = ("BAG-01", "CAP-01", "MUG-01", "PEN-01", "TEE-01")
SEVERAL = 40
"""Orders of several lines at once."""

line = st.tuples(st.sampled_from(HOT), st.integers(1, 4))
order = st.lists(line, min_size=1, max_size=8)  # in any order, a sku more than once


@pytest.mark.parametrize("buyers", [200, pytest.param(1000, marks=pytest.mark.slow)])
async def test_ten_units_are_sold_to_ten_of_many_concurrent_buyers(clone_database: CloneDatabase, buyers: int) -> None:
    """Exactly ten reservations, however many ask at once, wherever they are answered; the others are told no."""
    async with warehouse(await clone_database("inventory")) as shop:
        await shop.stocked({"RARE-10": 10})
        orders = [paid(("RARE-10", 1)) for _ in range(buyers)]
        await shop.hear(orders)
        assert await shop.ended(orders) == {"reserved": 10, "rejected": buyers - 10}
        assert (await shop.stock(["RARE-10"]))["RARE-10"].available == 0
        assert await shop.faults() == []


def crossing(count: int) -> list[PaymentAuthorized]:
    """Orders that want the same skus, each in an order of its own."""
    choice = random.Random(11)  # noqa: S311 - variety, no secret
    return [paid(*((sku, 1) for sku in choice.sample(HOT, len(HOT)))) for _ in range(count)]


async def test_lines_in_any_order_do_not_deadlock(
    clone_database: CloneDatabase, postgres_server: PostgresServer
) -> None:
    """Hot skus are reserved, shipped and received from all sides: no deadlock is broken, and none is oversold."""
    url = await clone_database("inventory")
    async with warehouse(url) as shop:
        await shop.stocked(dict.fromkeys(HOT, SEVERAL // 2))
        orders = crossing(SEVERAL)
        await shop.hear(orders)
        assert await shop.ended(orders) == {"reserved": SEVERAL // 2, "rejected": SEVERAL // 2}
        going = [about(each, ShippingReady) for each in orders if (await shop.ended([each]))["reserved"]]
        coming = [received(sku, 1) for sku in HOT for _ in range(SEVERAL // 10)]
        await shop.hear(each for three in zip(crossing(len(going)), going, coming, strict=True) for each in three)
        assert {row.shipped for row in (await shop.stock(HOT)).values()} == {SEVERAL // 2}
        assert await shop.faults() == []
    assert await deadlocks(postgres_server, url) == 0


def careless(settings: Settings) -> Service:
    """Compose inventory with locks taken as the orders' lines come."""
    service = build(settings)

    async def preload(db: AsyncSession, batch: Sequence[tuple[Event, OrderRow | None]]) -> None:
        stock: dict[str, Stock] = {}
        for sku in [line.sku for event, _ in batch if isinstance(event, PaymentAuthorized) for line in event.items]:
            if sku not in stock:
                stock |= await locked(db, Stock, [sku])
        hold(db, {}, stock)

    service.preload = preload
    return service


async def test_a_careless_order_of_locks_is_found(
    clone_database: CloneDatabase, postgres_server: PostgresServer
) -> None:
    """The test above can fail: locks in the order of the lines deadlock, and the server counts it."""
    url = await clone_database("inventory")
    async with warehouse(url, build=careless) as shop:
        await shop.stocked(dict.fromkeys(HOT, SEVERAL))
        await shop.hear(crossing(SEVERAL))
    assert await deadlocks(postgres_server, url) > 0


@pytest_asyncio.fixture
async def shop(clone_database: CloneDatabase) -> AsyncGenerator[Warehouse]:
    """A warehouse with the hot skus, some of each."""
    async with warehouse(await clone_database("inventory")) as shop:
        await shop.stocked(dict.fromkeys(HOT, 12))
        yield shop


@settings(
    max_examples=15,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # what holds after one history holds after several
)
@given(
    wanted=st.lists(order, min_size=1, max_size=8),
    goods=st.lists(line, max_size=3),
    chance=st.randoms(use_true_random=True),
)
async def test_every_piece_is_explained(
    shop: Warehouse, wanted: list[list[tuple[str, int]]], goods: list[tuple[str, int]], chance: random.Random
) -> None:
    """On hand = initial + received - shipped, available = on hand - reserved ≥ 0, by sku, after any history.

    Orders are paid, cancelled, shipped, all of it repeated, and goods arrive, at once and in any order.
    """
    orders = [paid(*lines) for lines in wanted]
    cancelled, others = orders[::2], orders[1::2]
    happens = [*orders, *(about(each, ShippingCancelled) for each in cancelled), *(received(*some) for some in goods)]
    for _ in range(2):
        chance.shuffle(happens)
        await shop.hear(happens)
    reserved = [each for each in others if (await shop.ended([each]))["reserved"]]
    await shop.hear([about(each, ShippingReady) for each in reserved * 2])
    assert await shop.faults() == []
    assert await shop.ended(reserved) == ({"shipped": len(reserved)} if reserved else {})
    assert not (await shop.ended(cancelled)).keys() & {"reserved", "shipped"}


@pytest.mark.parametrize("change", [{"reserved": 1}, {"received": 1, "on_hand": 13}, {"shipped": 1, "on_hand": 11}])
async def test_an_unexplained_piece_is_found(shop: Warehouse, change: dict[str, int]) -> None:
    """The books can disagree: a piece that no order and no receipt accounts for is named."""
    async with shop.services[0].database.session() as db, db.begin():
        await db.exec(update(Stock).where(col(Stock.sku) == "MUG-01").values(**change))
    [fault] = await shop.faults()
    assert fault.startswith("MUG-01:")
