"""Each kind of violation, planted in a world that is in order, is found and names its order or its goods."""
# ruff: noqa: S608 - the statements are made of constants

from dataclasses import dataclass

import pytest

from tests.invariants.checker import NotDrained
from tests.invariants.conftest import World
from tests.invariants.expectations import Ending, Invariant, Violation
from tests.invariants.world import CANCELLED, EXPECTED, READY, REJECTED, UNKNOWN, event_id


@dataclass(frozen=True, slots=True)
class Plant:
    """Rows changed by hand in one database, and what is to be found."""

    invariant: Invariant
    service: str
    statements: str
    message: str


PLANTS = {
    "no end": Plant(
        "I1",
        "order_api",
        f"DELETE FROM facts WHERE order_id = '{READY}' AND name IN ('shipping.ready', 'payment.captured')",
        f"order {READY} reached no final state",
    ),
    "two ends": Plant(
        "I1",
        "order_api",
        f"UPDATE facts SET name = 'payment.voided' WHERE order_id = '{READY}' AND name = 'inventory.reserved'",
        f"order {READY} reached ready and cancelled",
    ),
    "not what its facts say": Plant(
        "I1",
        "order_api",
        f"UPDATE orders SET state = 'reserved' WHERE order_id = '{READY}'",
        f"order {READY} is shown as reserved, its facts say ready",
    ),
    "not settled": Plant(
        "I1",
        "order_api",
        f"DELETE FROM facts WHERE order_id = '{READY}' AND name = 'inventory.shipped'",
        f"order {READY} is ready and not settled",
    ),
    "the impossible": Plant(
        "I1",
        "shipping",
        f"""UPDATE shipments SET anomalies = '[{{"event": "x"}}]' WHERE order_id = '{READY}'""",
        f"order {READY} met the impossible in shipping",
    ),
    "money of no order": Plant(
        "I2",
        "payment",
        f"INSERT INTO gateway_accounts (key, status, generation, attempts) VALUES ('{UNKNOWN}', 'held', 1, 1)",
        f"the gateway holds money of {UNKNOWN}, which is no order",
    ),
    "captured twice": Plant(
        "I2",
        "payment",
        f"""INSERT INTO gateway_accounts (key, status, amount, currency, generation, attempts)
            VALUES (upper('{READY}'), 'captured', 2580, 'EUR', 1, 1)""",
        f"order {READY} has 2 accounts at the gateway",
    ),
    "another amount": Plant(
        "I2",
        "payment",
        f"UPDATE gateway_accounts SET amount = 2581 WHERE key = '{READY}'",
        f"order {READY} costs 2580 EUR, the gateway was asked for 2581 EUR",
    ),
    "payment and gateway differ": Plant(
        "I2",
        "payment",
        f"UPDATE payments SET state = 'authorized' WHERE order_id = '{READY}'",
        f"order {READY} is authorized in payment, at the gateway captured",
    ),
    "captured, not ready": Plant(
        "I2",
        "payment",
        f"""UPDATE payments SET state = 'captured' WHERE order_id = '{CANCELLED}';
            UPDATE gateway_accounts SET status = 'captured' WHERE key = '{CANCELLED}'""",
        f"order {CANCELLED} was captured, its parcel is failed",
    ),
    "ready, not captured": Plant(
        "I2",
        "payment",
        f"""UPDATE payments SET state = 'unpaid' WHERE order_id = '{READY}';
            UPDATE gateway_accounts SET status = 'unpaid' WHERE key = '{READY}'""",
        f"order {READY} is ready, its money is unpaid",
    ),
    "money still held": Plant(
        "I2",
        "payment",
        f"""UPDATE payments SET state = 'authorized' WHERE order_id = '{CANCELLED}';
            UPDATE gateway_accounts SET status = 'held' WHERE key = '{CANCELLED}'""",
        f"order {CANCELLED} is over, its money still held",
    ),
    "totals": Plant(
        "I2",
        "payment",
        f"UPDATE payments SET said = '{{}}' WHERE order_id = '{CANCELLED}'",
        f"order {CANCELLED}: 2580 EUR authorized, but 0 as payment said; at the gateway voided",
    ),
    "unexplained stock": Plant(
        "I3",
        "inventory",
        """ALTER TABLE stock DROP CONSTRAINT movements_explain_on_hand;
           UPDATE stock SET on_hand = 14 WHERE sku = 'MUG-01'""",
        "MUG-01: 14 on hand, but 10 initial + 5 received - 2 shipped",
    ),
    "oversold": Plant(
        "I3",
        "inventory",
        """ALTER TABLE stock DROP CONSTRAINT available_not_negative;
           UPDATE stock SET reserved = 1 WHERE sku = 'SOLD-01'""",
        "SOLD-01: 0 on hand, 1 reserved: less than none available",
    ),
    "reserved for nobody": Plant(
        "I3",
        "inventory",
        "UPDATE stock SET reserved = 2 WHERE sku = 'MUG-01'",
        "MUG-01: 2 reserved, its orders or receipts explain 0",
    ),
    "shipped to nobody": Plant(
        "I3",
        "inventory",
        "UPDATE stock SET shipped = 4, on_hand = 11 WHERE sku = 'MUG-01'",
        "MUG-01: 4 shipped, its orders or receipts explain 2",
    ),
    "received from nowhere": Plant(
        "I3",
        "inventory",
        "DELETE FROM stock_receipts",
        "MUG-01: 5 received, its orders or receipts explain 0",
    ),
    "not stocked": Plant(
        "I3",
        "inventory",
        "DELETE FROM stock WHERE sku = 'MUG-01'",
        "MUG-01 was reserved, shipped or received, and is not stocked",
    ),
    "cancelled, still reserved": Plant(
        "I3",
        "inventory",
        f"""UPDATE reservations SET state = 'reserved' WHERE order_id = '{CANCELLED}';
            UPDATE stock SET reserved = 2 WHERE sku = 'MUG-01'""",
        f"order {CANCELLED} is cancelled, its goods are reserved",
    ),
    "other goods": Plant(
        "I3",
        "inventory",
        f"""UPDATE reservations SET items = '[{{"sku": "SOLD-01", "quantity": 2}}]' WHERE order_id = '{READY}'""",
        f"order {READY} ordered {{'MUG-01': 2}}, and {{'SOLD-01': 2}} is shipped",
    ),
    "ready, not shipped": Plant(
        "I3",
        "inventory",
        f"UPDATE reservations SET state = 'released' WHERE order_id = '{READY}'",
        f"order {READY} is ready, its goods are released",
    ),
    "applied twice": Plant(
        "I4",
        "payment",
        f"""ALTER TABLE inbox DROP CONSTRAINT inbox_pkey;
            INSERT INTO inbox SELECT * FROM inbox WHERE event_id = '{event_id(READY, "order.created")}'""",
        f"payment.order.created applied event {event_id(READY, 'order.created')} 2 times",
    ),
    "told twice": Plant(
        "I4",
        "order_api",
        f"""ALTER TABLE facts DROP CONSTRAINT facts_pkey;
            INSERT INTO facts OVERRIDING USER VALUE
            SELECT * FROM facts WHERE order_id = '{READY}' AND name = 'shipping.ready'""",
        f"order {READY} has 2 facts shipping.ready",
    ),
    "two ids": Plant(
        "I4",
        "payment",
        f"""INSERT INTO outbox SELECT (jsonb_populate_record(outbox, jsonb_build_object(
                'id', gen_random_uuid(), 'event_id', gen_random_uuid()))).*
            FROM outbox WHERE order_id = '{READY}' AND name = 'payment.captured'""",
        f"order {READY}: payment.captured was said under 2 ids",
    ),
    "two ways": Plant(
        "I4",
        "payment",
        f"""INSERT INTO outbox SELECT (jsonb_populate_record(outbox, jsonb_build_object(
                'id', gen_random_uuid(), 'body', 'another'))).*
            FROM outbox WHERE order_id = '{READY}' AND name = 'payment.captured'""",
        f"order {READY}: payment.captured was said in 2 ways",
    ),
    "said by nobody": Plant(
        "I4",
        "order_api",
        f"UPDATE facts SET event_id = gen_random_uuid() WHERE order_id = '{REJECTED}'",
        f"order {REJECTED} has a fact payment.declined that nobody said",
    ),
    "two parcels": Plant(
        "I4",
        "shipping",
        f"INSERT INTO carrier_bookings (key, status, attempts) VALUES (upper('{READY}'), 'booked', 1)",
        f"order {READY} has 2 parcels at the carrier",
    ),
    "a parcel too many": Plant(
        "I4",
        "shipping",
        f"UPDATE carrier_bookings SET status = 'booked' WHERE key = '{CANCELLED}'",
        f"order {CANCELLED} has a parcel at the carrier, in shipping it is failed",
    ),
    "no parcel": Plant(
        "I4",
        "shipping",
        f"DELETE FROM carrier_bookings WHERE key = '{READY}'",
        f"order {READY} is ready in shipping, the carrier has no parcel",
    ),
    "not undone": Plant(
        "I4",
        "shipping",
        f"""UPDATE shipments SET state = 'cancelled', cancel_reason = 'customer', undo = true
            WHERE order_id = '{CANCELLED}'""",
        f"order {CANCELLED} was cancelled, its parcel is not undone yet",
    ),
    "unsent": Plant(
        "I5",
        "shipping",
        f"UPDATE outbox SET sent_at = NULL WHERE order_id = '{READY}'",
        f"shipping.ready of order {READY} waits in the outbox of shipping",
    ),
    "lost": Plant(
        "I5",
        "order_api",
        f"DELETE FROM inbox WHERE event_id = '{event_id(CANCELLED, 'payment.voided')}'",
        f"payment.voided of order {CANCELLED} never reached order_api.payment.voided",
    ),
    "out of thin air": Plant(
        "I5",
        "payment",
        f"INSERT INTO inbox (event_id, queue, redrive) VALUES ('{UNKNOWN}', 'payment.order.created', 0)",
        f"payment.order.created applied event {UNKNOWN}, which nobody published",
    ),
}


async def test_a_world_in_order_has_no_violations(world: World) -> None:
    """Three finished orders, one of each kind: the checker finds nothing, and nothing on its way."""
    await world.checker.drain(seconds=5)
    assert await world.checker.violations(EXPECTED) == []


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS.keys())
async def test_a_planted_violation_is_found(world: World, plant: Plant) -> None:
    """Rows that break an invariant are found, by a sentence that names the order or the goods."""
    await world.change(plant.service, plant.statements)
    found = await world.checker.violations(EXPECTED)
    assert any(each.invariant == plant.invariant and plant.message in each.message for each in found), found


async def test_an_accepted_order_that_is_not_stored_is_found(world: World) -> None:
    """An order that a client was told of, and that the database does not have, is a violation."""
    found = await world.checker.violations({**EXPECTED, UNKNOWN: Ending.ANY})
    assert found == [Violation("I1", f"order {UNKNOWN} was accepted and is not stored")]


@pytest.mark.parametrize(
    ("order_id", "ending", "message"),
    [
        (READY, Ending.CANCELLED, f"order {READY} ended ready, not cancelled"),
        (READY, Ending.OVERDUE, f"order {READY} should be ready with its payment overdue"),
        (READY, Ending.PARKED, f"order {READY} should wait for a parked message, and is ready"),
    ],
)
async def test_an_end_that_was_not_expected_is_found(world: World, order_id: str, ending: Ending, message: str) -> None:
    """An order that ends otherwise than its client was promised is a violation."""
    found = await world.checker.violations({**EXPECTED, order_id: ending})
    assert [each.invariant for each in found] == ["I1"]
    assert message in found[0].message


async def test_what_is_on_its_way_is_not_drained(world: World) -> None:
    """A world in which an event is still to be applied and another to be sent is not drained; both are named."""
    await world.change("inventory", f"DELETE FROM inbox WHERE event_id = '{event_id(READY, 'shipping.ready')}'")
    await world.change("payment", f"UPDATE outbox SET sent_at = NULL WHERE order_id = '{REJECTED}'")
    with pytest.raises(NotDrained, match=r"1 inventory\.shipping\.ready, 1 outbox of payment"):
        await world.checker.drain(seconds=0)
