"""One order at a time, from REST to its end, for every test card and every test address."""

from dataclasses import replace

import asyncpg
import httpx2
import pytest

from tests.broker.rabbit import until
from tests.e2e.conftest import Expected
from tests.e2e.shop import PATIENCE, Shop, Wish, wish
from tests.e2e.system import System
from tests.invariants.checker import Checker
from tests.invariants.expectations import Ending, Parked

pytestmark = pytest.mark.e2e

RESTOCKED = "CAP-01"
RESERVED = ["order.created", "payment.authorized", "inventory.reserved"]
READY = {*RESERVED, "shipping.ready", "inventory.shipped", "payment.captured"}
OVERDUE = READY - {"payment.captured"} | {"payment.capture_failed"}
DECLINED = {"order.created", "payment.declined"}
OUT_OF_STOCK = {"order.created", "payment.authorized", "inventory.rejected", "payment.voided"}
UNDELIVERABLE = {*RESERVED, "shipping.failed", "inventory.released", "payment.voided"}

CASES = {
    "tok_ok": (wish(Ending.READY, token="tok_ok"), READY),
    "tok_declined": (wish(Ending.REJECTED, token="tok_declined"), DECLINED),
    "tok_insufficient_funds": (wish(Ending.REJECTED, token="tok_insufficient_funds"), DECLINED),
    "tok_flaky": (wish(Ending.READY, token="tok_flaky"), READY),
    "tok_timeout": (wish(Ending.READY, token="tok_timeout"), READY),
    "tok_capture_refused": (wish(Ending.OVERDUE, token="tok_capture_refused"), OVERDUE),
    "undeliverable": (wish(Ending.CANCELLED, postal_code="00000"), UNDELIVERABLE),
    "flaky carrier": (wish(Ending.READY, city="Flaky"), READY),
    "out of stock": (wish(Ending.CANCELLED, {"MUG-01": 1, "SOLD-01": 1}), OUT_OF_STOCK),
    "several lines": (wish(Ending.READY, {"MUG-01": 1, "TEE-01": 2, "PEN-01": 30}), READY),
    "another currency": (wish(Ending.READY, {"BENTO-01": 1}, currency="JPY"), READY),
}


@pytest.mark.parametrize(("wanted", "events"), CASES.values(), ids=CASES.keys())
async def test_an_order_ends_as_its_card_and_address_say(
    shop: Shop, expected: Expected, wanted: Wish, events: set[str]
) -> None:
    """An order reaches the end that its card, address and stock call for, and its timeline tells exactly that way."""
    order_id = await shop.place(wanted)
    expected.endings[order_id] = wanted.ending
    timeline = await shop.told(order_id, events)
    assert sorted(timeline.events) == sorted(events), "each event once, and no other"
    assert timeline.status == wanted.ending.status
    assert timeline.settled == (wanted.ending is not Ending.OVERDUE)


async def test_the_reason_of_a_decline_is_told(shop: Shop, expected: Expected) -> None:
    """A rejected order says why the card was declined."""
    wanted = wish(Ending.REJECTED, token="tok_insufficient_funds")
    order_id = await shop.place(wanted)
    expected.endings[order_id] = wanted.ending
    timeline = await shop.told(order_id, DECLINED)
    assert timeline.details["payment.declined"]["reason"] == "insufficient_funds"


async def test_a_timeline_is_in_the_order_of_events(shop: Shop, expected: Expected) -> None:
    """The timeline of a good order begins with its creation and tells causes before their consequences."""
    wanted = wish(Ending.READY)
    order_id = await shop.place(wanted)
    expected.endings[order_id] = wanted.ending
    timeline = await shop.told(order_id, READY)
    assert list(timeline.events[:4]) == [*RESERVED, "shipping.ready"]


DOWN = {
    "tok_down": (
        wish(Ending.PARKED, token="tok_down"),
        "payment.order.created",
        "GatewayUnavailable",
        {"order.created"},
    ),
    "carrier down": (
        wish(Ending.PARKED, city="Down"),
        "shipping.inventory.reserved",
        "CarrierUnavailable",
        set(RESERVED),
    ),
}


@pytest.mark.parametrize(("wanted", "queue", "error", "events"), DOWN.values(), ids=DOWN.keys())
async def test_what_stays_down_parks_its_message(  # noqa: PLR0913 - fixtures and the case's parts
    system: System,
    shop: Shop,
    checker: Checker,
    expected: Expected,
    *,
    wanted: Wish,
    queue: str,
    error: str,
    events: set[str],
) -> None:
    """While a remote end stays down its message is parked; the control room says why, and the order waits."""
    order_id = await shop.place(wanted)
    expected.endings[order_id] = wanted.ending
    expected.parked.add(Parked(queue, order_id, error))
    await checker.drain()
    async with httpx2.AsyncClient(base_url=system.control_room, headers=system.operator) as control_room:
        found = await control_room.get("/dead-letters", params={"order_id": order_id})
    [letter] = found.raise_for_status().json()["dead_letters"]
    assert (letter["queue"], letter["error"], letter["state"]) == (queue, error, "open")
    timeline = await shop.timeline(order_id)
    assert set(timeline.events) == events
    assert not timeline.settled


STUCK = {
    "tok_down": (
        wish(Ending.CANCELLED, token="tok_down"),
        Parked("payment.order.created", "", "GatewayUnavailable"),
        {"order.created", "shipping.cancelled", "inventory.released", "payment.voided"},
    ),
    "carrier down": (
        wish(Ending.CANCELLED, city="Down"),
        Parked("shipping.inventory.reserved", "", "CarrierUnavailable"),
        {*RESERVED, "shipping.cancelled", "inventory.released", "payment.voided"},
    ),
}


@pytest.mark.parametrize(("wanted", "parked", "events"), STUCK.values(), ids=STUCK.keys())
async def test_a_cancellation_ends_what_is_stuck(  # noqa: PLR0913 - fixtures and the case's parts
    shop: Shop, checker: Checker, expected: Expected, *, wanted: Wish, parked: Parked, events: set[str]
) -> None:
    """An order whose message is parked ends as cancelled when its customer asks for it; money and goods are let go."""
    order_id = await shop.place(wanted)
    expected.endings[order_id] = wanted.ending
    expected.parked.add(replace(parked, order_id=order_id))
    await checker.drain()
    assert await shop.cancel(order_id) == 202
    timeline = await shop.told(order_id, events)
    assert set(timeline.events) - {"order.cancel_requested"} == events
    assert timeline.status == "cancelled"
    assert timeline.settled
    assert timeline.details["payment.voided"]["reason"] == "customer"
    assert await shop.cancel(order_id) == 200


async def test_what_is_ready_is_not_cancelled(shop: Shop, expected: Expected) -> None:
    """The cancellation of a shipped order is refused, and changes nothing."""
    wanted = wish(Ending.READY)
    order_id = await shop.place(wanted)
    expected.endings[order_id] = wanted.ending
    await shop.told(order_id, READY)
    assert await shop.cancel(order_id) == 409
    assert set((await shop.timeline(order_id)).events) == READY


async def test_goods_that_arrive_show_in_the_shop(system: System) -> None:
    """An operator books a receipt twice under one key: inventory counts it once, and the products show the stock."""
    key = {"Authorization": f"Bearer {system.wiring.api_keys['operator']}", "Idempotency-Key": "carton-1"}
    database = await asyncpg.connect(system.wiring.databases["inventory"])
    async with httpx2.AsyncClient(base_url=system.api, timeout=15, headers=key) as operator:
        for _ in range(2):
            booked = await operator.post(f"/products/{RESTOCKED}/stock", json={"quantity": 24})
            assert booked.status_code == 202, booked.text

        async def shown() -> int | None:
            products = (await operator.get("/products")).raise_for_status().json()
            return next(product["available"] for product in products if product["sku"] == RESTOCKED)

        assert await until(shown, patience=PATIENCE) > 24
    assert await database.fetchval("SELECT received FROM stock WHERE sku = $1", RESTOCKED) == 24
    await database.close()
