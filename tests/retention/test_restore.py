"""One of the four databases is restored from an older backup: what the how-to's steps heal, and what they cannot."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from contracts import CancelReason, OrderCancelRequested
from messaging.outcome import Again
from tests.machine.checks import Placed, problems
from tests.machine.world import World
from tests.retention.backups import Backups, but, follow, steps
from tests.retention.shop import READY, contents, dice, finish, place_all, statuses

pytestmark = pytest.mark.database

HISTORIES = [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
MADE_ANEW = ("was said in 2 ways", "that nobody said")
"""What an event that was made anew shows: another time of day, and an outbox that forgot the first one."""


@pytest_asyncio.fixture
async def backups(world: World, postgres_url: str) -> AsyncGenerator[Backups]:
    """Backups of the world's databases."""
    made = Backups(world, postgres_url)
    yield made
    for name in list(world.nodes):
        await world.stop(name)
        await world.hang_up(name)
    await made.drop()


def test_the_steps_are_those_of_the_page() -> None:
    """The how-to's statements are for whom this test takes them to be."""
    assert list(steps()) == [
        "payment, inventory, shipping; only if order_api was restored",
        "order_api, the shipped ones",
        "order_api, all others",
        "the three others; the moment at which the backup began",
    ]


@pytest.mark.parametrize("number", HISTORIES)
@pytest.mark.parametrize("name", ["payment", "inventory", "shipping"])
async def test_a_restored_service_catches_up(world: World, backups: Backups, name: str, number: int) -> None:
    """Orders of every kind that moved on, ended or were placed after the backup end as they would have, or had.

    No final status changes, no money is taken twice, no parcel is sent twice, and the stock adds up.
    """
    chance = dice(number)
    placed = await place_all(world, chance, chance.randrange(10, 60))
    backup, moment = await backups.back_up(name)
    later = await place_all(world, chance, chance.randrange(10, 60))
    await finish(world, placed | later)
    before, remote = await statuses(world), await gateway_and_carrier(world)
    await backups.restore(name, backup)
    await follow(world, name, moment)
    assert await statuses(world) == before
    assert await gateway_and_carrier(world) == remote
    assert but(await problems(world, placed | later, lost=True), *MADE_ANEW) == []


async def gateway_and_carrier(world: World) -> list[list[dict[str, Any]]]:
    """What the remote ends did."""
    return [rows for question, rows in (await contents(world)).items() if " key" in question or "_bookings" in question]


@pytest.mark.parametrize("number", HISTORIES)
async def test_a_restored_order_api_is_told_again(world: World, backups: Backups, number: int) -> None:
    """Orders that were accepted before the backup come to the status that they had; nothing else changes."""
    chance = dice(number)
    placed = await place_all(world, chance, chance.randrange(10, 60))
    backup, moment = await backups.back_up("order_api")
    await finish(world, placed)
    before, remote = await statuses(world), await gateway_and_carrier(world)
    await backups.restore("order_api", backup)
    await follow(world, "order_api", moment)
    assert await statuses(world) == before
    assert await world.unsettled() == []
    assert await gateway_and_carrier(world) == remote
    assert but(await problems(world, placed, lost=True), *MADE_ANEW) == []


async def test_numbers_that_were_used_are_passed_over(world: World, backups: Backups) -> None:
    """A restored order API counts its re-drives from where the backup did: queues that kept their inbox hear nothing.

    An emptied inbox lets them hear, and so does the next number.
    """
    order_id = await world.place(READY.body)
    backup, _ = await backups.back_up("order_api")
    await world.deliver_all()
    await world.redrive()
    await world.deliver_all()
    await backups.restore("order_api", backup)
    await world.sweep_deadlines()
    await world.deliver_all()
    assert await statuses(world) == {order_id: "pending"}
    await world.sweep_deadlines()
    await world.deliver_all()
    assert await statuses(world) == {order_id: "ready"}


async def test_orders_accepted_after_the_backup_are_lost_to_the_order_api(world: World, backups: Backups) -> None:
    """Nothing brings them back: what is told of them is parked. A cancellation by hand frees what is not shipped.

    Without it they go on, when the others' outboxes are said again: without a row they are shipped, and paid.
    """
    backup, moment = await backups.back_up("order_api")
    order_id = await world.place(READY.body)
    await deliver_up_to(world, "shipping.inventory.reserved")
    world.network.bag.clear()  # the broker was lost as well
    await backups.restore("order_api", backup)
    await world.deliver_all()
    assert await statuses(world) == {}
    assert await held(world, order_id) == "held"
    lost = await world.sql("payment", "SELECT order_id FROM payments")
    assert [row["order_id"] for row in lost] == [order_id]

    event = OrderCancelRequested.about(order_id, reason=CancelReason.OPERATOR)

    async def cancel(_: object) -> list[Again]:
        return [Again(event, 0)]

    await world.shop.execute(cancel)
    await world.shop.sent()
    await follow(world, "order_api", moment)
    assert await held(world, order_id) == "voided"
    assert {letter.headers["x-error-reason"] for letter in world.network.parked} == {f"unknown order {order_id}"}
    stock = await world.sql("inventory", "SELECT reserved FROM stock WHERE sku = 'MUG-01'")
    assert stock == [{"reserved": 0}]


async def test_stock_that_was_sold_twice_is_noted(world: World, backups: Backups) -> None:
    """If orders are taken before the shipped ones were said again, one is shipped without goods, and it shows."""
    rare = Placed("RARE-01", 2, "tok_ok", "Berlin", "10115")
    backup, moment = await backups.back_up("inventory")
    first = await world.place(rare.body)
    await finish(world, {first: rare})
    await backups.restore("inventory", backup)
    second = await world.place(rare.body)
    await world.deliver_all()
    await follow(world, "inventory", moment)
    assert await statuses(world) == {first: "ready", second: "ready"}
    found = await problems(world, {first: rare, second: rare}, lost=True)
    assert but(found, *MADE_ANEW, "met the impossible in (payment|inventory)", "its goods are rejected") == []
    assert len(found) > 0


async def test_said_again_first_it_keeps_its_goods(world: World, backups: Backups) -> None:
    """In the order of the how-to the shipped order has its goods back before anybody else can take them."""
    rare = Placed("RARE-01", 2, "tok_ok", "Berlin", "10115")
    backup, moment = await backups.back_up("inventory")
    first = await world.place(rare.body)
    await finish(world, {first: rare})
    await backups.restore("inventory", backup)
    await follow(world, "inventory", moment)
    second = await world.place(rare.body)
    await finish(world, {first: rare, second: rare})
    assert await statuses(world) == {first: "ready", second: "cancelled"}


async def test_a_granted_cancellation_stays_granted(world: World, backups: Backups) -> None:
    """Shipping forgets that it cancelled an order: the order API has not forgotten, and asks again."""
    order_id = await world.place(READY.body)
    await deliver_up_to(world, "shipping.inventory.reserved")
    backup, moment = await backups.back_up("shipping")
    await world.cancel(order_id)
    await deliver_up_to(world, "shipping.inventory.reserved")
    await finish(world, {order_id: READY})
    assert await statuses(world) == {order_id: "cancelled"}
    await backups.restore("shipping", backup)
    await follow(world, "shipping", moment)
    assert await statuses(world) == {order_id: "cancelled"}
    assert but(await problems(world, {order_id: READY}, lost=True), *MADE_ANEW) == []


async def test_a_refused_cancellation_stays_refused(world: World, backups: Backups) -> None:
    """Shipping forgets a parcel whose cancellation came too late: the parcel stays, for nobody asks again."""
    backup, moment = await backups.back_up("shipping")
    order_id = await world.place(READY.body)
    await deliver_up_to(world, "order_api.shipping.ready", "order_api.payment.captured")
    await world.cancel(order_id)  # it does not know yet
    assert (
        len(await world.sql("order_api", "SELECT FROM orders WHERE jsonb_exists(said, 'order.cancel_requested')")) == 1
    )
    await finish(world, {order_id: READY})
    assert await statuses(world) == {order_id: "ready"}
    await backups.restore("shipping", backup)
    await follow(world, "shipping", moment)
    assert await statuses(world) == {order_id: "ready"}
    assert but(await problems(world, {order_id: READY}, lost=True), *MADE_ANEW) == []


async def test_a_settled_order_is_said_again_once(world: World) -> None:
    """Put on the list by hand, an order that is over is said again, and not watched for ever after."""
    order_id = await world.place(READY.body)
    await finish(world, {order_id: READY})
    for statement in list(steps().values())[1:3]:
        await world.sql("order_api", statement)
    assert await world.sweep_deadlines() == 1
    assert await world.sweep_deadlines() == 0


async def held(world: World, order_id: UUID) -> str:
    """What the card gateway holds of an order."""
    found = await world.sql("payment", "SELECT status FROM gateway_accounts WHERE key = $1", str(order_id))
    return str(found[0]["status"])


async def deliver_up_to(world: World, *queues: str) -> None:
    """Deliver everything but what waits in these queues, and what follows from it."""
    while others := [letter for letter in world.network.bag if letter.queue not in queues]:
        world.network.bag = [letter for letter in world.network.bag if letter.queue in queues]
        await world.deliver(others)
