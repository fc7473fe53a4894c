"""Erasing a customer: nothing is left in any database, nothing else changes, and nothing is shipped to nowhere."""

import asyncio
import re
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from messaging import erasure
from messaging.tables import BODY, PERSONAL, TEXT
from order_api.erasure import WhoseCustomer
from tests.machine.processes import SERVICES
from tests.machine.world import World
from tests.privacy.places import CUSTOMER, KINDS, MARK, erase, erased, found, place, places, wish
from tests.retention.shop import contents, statuses

pytestmark = pytest.mark.database

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "erase-a-customer.md"
ERASED_ANSWER = {"order_api.idempotency_keys.answer", "order_api.idempotency_keys.key"}
"""These rows are deleted."""


def documented() -> set[str]:
    """The columns that the how-to lists."""
    return set(re.findall(r"`((?:order_api|payment|inventory|shipping)\.\w+\.\w+)`", PAGE.read_text()))


def marked() -> set[str]:
    """The columns that the tables' definitions mark."""
    return {
        f"{service}.{table.name}.{column.name}"
        for service in SERVICES
        for table in erasure.tables_of(service).sorted_tables
        for column in table.columns
        if PERSONAL in column.info
    }


async def place_all(world: World) -> list[UUID]:
    """An order of each kind, carried to its end."""
    placed = [await place(world, body, number) for number, body in enumerate(KINDS)]
    await world.deliver_all()
    return placed


async def test_personal_data_rests_where_the_page_says(world: World) -> None:
    """Orders of every kind leave marks in the columns that the page lists and the tables mark, and in no others."""
    await place_all(world)
    places_found = await places(world)
    assert places_found == documented()
    assert places_found - ERASED_ANSWER <= marked()


async def test_a_new_place_would_be_found(world: World) -> None:
    """A column that nobody thought of is searched, too."""
    await world.sql("shipping", f"CREATE TABLE labels AS SELECT 'for {MARK} Ada' AS printed")
    assert await places(world) == {"shipping.labels.printed"}


async def test_after_erasure_nothing_is_found(world: World) -> None:
    """No column of any table of the four databases holds a mark; another customer's orders are as they were."""
    await place_all(world)
    other = await place(world, wish(customer="another", name="OTHER"), 99)
    await world.deliver_all()
    before = await places(world, "OTHER")
    orders = await found(world)
    assert (len(orders.settled), orders.unsettled) == (len(KINDS), [])
    await erase(world, orders.settled)
    assert await places(world, CUSTOMER) == set()
    assert await places(world, "OTHER") == before != set()
    await erase(world, [other])
    assert await places(world) == set()


async def test_what_is_erased_is_recorded(world: World) -> None:
    """The record says which order, when and by whom, once, and nothing of the customer; they are found no more."""
    placed = await place_all(world)
    await erase(world, placed)
    await erase(world, placed)
    record = await erased(world)
    assert {row.order_id for row in record} == set(placed)
    assert {row.erased_by for row in record} == {"the test"}
    assert len(record) == len(placed)
    assert await found(world) == await found(world, "nobody")


async def test_years_of_erasures_are_erased_again_at_once(world: World) -> None:
    """More orders than a statement has parameters; those that are not there any more are no hindrance."""
    order_id = await place(world, wish(), 1)
    await world.deliver_all()
    await erase(world, [*(uuid4() for _ in range(33_000)), order_id])
    assert await places(world) == set()
    assert len(await erased(world)) == 33_001


async def test_erasure_changes_nothing_but_personal_data(world: World) -> None:
    """States, facts, money, stock and parcels are as they were; events keep their ids and their contracts."""
    placed = await place_all(world)
    before = await contents(world)
    await erase(world, placed)
    assert without_marks(await contents(world)) == without_marks(before)
    assert await world.sql("order_api", "SELECT FROM orders WHERE customer_id <> 'erased'") == []


async def test_an_erased_order_can_be_said_again(world: World) -> None:
    """Re-driven by hand, settled orders change nothing: no fact, no hold, no parcel, nothing parked, no mark."""
    placed = await place_all(world)
    await erase(world, placed)
    before = await contents(world)
    for _ in range(2):
        await world.redrive(placed)
        await world.deliver_all()
        await world.sweep_deadlines()
        await world.deliver_all()
    assert await contents(world) == before
    assert world.network.parked == []
    assert await places(world) == set()


async def test_an_erased_order_is_never_shipped_to_nowhere(world: World) -> None:
    """Shipping and the carrier have forgotten the parcel: it is not booked anew, a person is told."""
    order_id = await place(world, wish(), 1)
    await world.deliver_all()
    await erase(world, [order_id])
    await world.sql("shipping", "DELETE FROM carrier_bookings; DELETE FROM shipments; DELETE FROM inbox")
    await world.redrive([order_id])
    await world.deliver_all()
    assert [letter.headers["x-error-class"] for letter in world.network.parked] == ["AddressErased"]
    assert await world.sql("shipping", "SELECT FROM carrier_bookings WHERE status = 'booked'") == []
    assert await statuses(world) == {order_id: "ready"}


async def test_a_forgotten_parcel_is_asked_for(world: World) -> None:
    """Shipping was restored from a backup: the carrier still knows the parcel, and that is what shipping learns."""
    order_id = await place(world, wish(), 1)
    await world.deliver_all()
    before = await world.sql("shipping", "SELECT order_id, state, tracking_number FROM shipments")
    await erase(world, [order_id])
    await world.sql("shipping", "DELETE FROM shipments; DELETE FROM inbox")
    await world.redrive([order_id])
    await world.deliver_all()
    assert await world.sql("shipping", "SELECT order_id, state, tracking_number FROM shipments") == before
    assert world.network.parked == []


async def test_what_is_said_while_erasing_is_erased(world: World) -> None:
    """A handler has the order's row and says it again: erasure waits for it, and then sees its message."""
    order_id = await place(world, wish(), 1)
    await world.deliver_all()
    handler: Any = await asyncpg.connect(world.urls["payment"])
    saying = handler.transaction()
    await saying.start()
    await handler.execute("SELECT FROM payments WHERE order_id = $1 FOR UPDATE", order_id)
    erasing = asyncio.create_task(erase(world, [order_id]))
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not await world.sql("payment", waiting):
        assert not erasing.done()
    await handler.execute(
        """
        INSERT INTO outbox (id, event_id, name, type, order_id, body, headers, redrive, due_at)
        SELECT gen_random_uuid(), event_id, name, type, order_id, body, headers, 1, now() FROM outbox LIMIT 1
        """
    )
    await saying.commit()
    await handler.close()
    await erasing
    assert await places(world) == set()


async def test_an_order_on_its_way_keeps_its_address(world: World) -> None:
    """Not settled yet: it is reported, not erased; once it is settled, the same search finds it."""
    done = await place(world, wish(), 1)
    await world.deliver_all()
    on_its_way = await place(world, wish(), 2)
    orders = await found(world)
    assert (list(orders.settled), list(orders.unsettled)) == ([done], [on_its_way])
    await erase(world, orders.settled)
    await world.deliver_all()
    assert await statuses(world) == {done: "ready", on_its_way: "ready"}
    assert list((await found(world)).settled) == [on_its_way]


async def test_a_customer_of_two_clients_must_be_told_apart(world: World) -> None:
    """A reference belongs to its client: if two have it, the client must be named; if one has it, it need not."""
    mine = await place(world, wish(), 1)
    theirs = await place(world, wish(), 2)
    await world.deliver_all()
    assert len((await found(world)).settled) == 2
    await world.sql("order_api", "UPDATE orders SET client_id = 'another' WHERE order_id = $1", theirs)
    with pytest.raises(WhoseCustomer, match="another, storefront"):
        await found(world)
    assert list((await found(world, client="storefront")).settled) == [mine]
    assert list((await found(world, client="nobody")).settled) == []


async def test_a_column_without_an_order_is_refused(world: World) -> None:
    """A marked column in a table that says of no order is a mistake, found at once."""
    tables = erasure.tables_of("inventory")
    column = tables.tables["stock"].c.sku
    column.info[PERSONAL] = TEXT
    try:
        with pytest.raises(LookupError, match="stock"):
            await erasure.erase(world.urls["inventory"], tables, [])
    finally:
        del column.info[PERSONAL]


def test_every_kind_of_mark_is_known() -> None:
    """A column's mark is one of two."""
    kinds = {
        column.info[PERSONAL]
        for service in SERVICES
        for table in erasure.tables_of(service).sorted_tables
        for column in table.columns
        if PERSONAL in column.info
    }
    assert kinds == {TEXT, BODY}


def without_marks(value: Any) -> str:
    """What is left to compare when marks, and what stands in their place, are taken out."""
    return re.sub(rf"{MARK}[\w -]*|tok_{MARK}|tok_ok|00000|erased", "", str(value))
