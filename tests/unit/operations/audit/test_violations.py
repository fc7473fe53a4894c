"""Each kind of violation, planted by hand, is found by the auditor, which names the order or the goods."""
# ruff: noqa: S608 - the statements are made of constants

from dataclasses import dataclass
from uuid import UUID

import pytest

from operations.audit.balance import Audit, Balance
from operations.audit.kinds import Kind
from tests.unit.operations.audit.conftest import MakeAudit, Spoil
from tests.unit.operations.audit.shop import STORIES, YOUNG, Shop, event_id

pytestmark = pytest.mark.database

QUEUE = "order_api.payment.declined"
UNKNOWN = UUID("00000000-0000-4000-8000-00000000000f")


@dataclass(frozen=True, slots=True)
class Plant:
    """Rows changed by hand in one database; `{done}` stands for the id of the order at that stage."""

    kind: Kind
    service: str
    statements: str
    subject: str = "{done}"
    detail: str = ""


_FACTS = "ALTER TABLE facts DISABLE TRIGGER facts_are_final;"
PLANTS = {
    "two ends": Plant(
        Kind.ORDER_CONTRADICTORY,
        "order_api",
        f"""{_FACTS} UPDATE facts SET name = 'payment.voided'
             WHERE order_id = '{{done}}' AND name = 'inventory.reserved'""",
        detail="ready and cancelled",
    ),
    "not what its facts say": Plant(
        Kind.ORDER_MISSHOWN,
        "order_api",
        "UPDATE orders SET state = 'reserved' WHERE order_id = '{done}'",
        detail="shown as reserved, should be ready",
    ),
    "final, and its facts do not say so": Plant(
        Kind.ORDER_MISSHOWN,
        "order_api",
        "UPDATE orders SET state = 'cancelled' WHERE order_id = '{reserved}'",
        "{reserved}",
        "should be not final",
    ),
    "stuck": Plant(Kind.ORDER_OVERDUE, "order_api", "SELECT", "{reserved}", "reserved, not settled"),
    "ready and never shipped": Plant(Kind.ORDER_OVERDUE, "order_api", "SELECT", "{ready}", "not settled"),
    "off the list": Plant(
        Kind.ORDER_UNWATCHED,
        "order_api",
        "UPDATE orders SET next_deadline = NULL WHERE order_id = '{reserved}'",
        "{reserved}",
        "has no deadline",
    ),
    "nobody looks at the list": Plant(
        Kind.ORDER_UNWATCHED,
        "order_api",
        "UPDATE orders SET next_deadline = now() - interval '1 hour' WHERE order_id = '{reserved}'",
        "{reserved}",
        "passed unheeded",
    ),
    "the money did not come": Plant(
        Kind.PAYMENT_OVERDUE, "payment", "SELECT", "{unpaid}", "2580 EUR in minor units was refused"
    ),
    "the impossible": Plant(
        Kind.ANOMALY,
        "shipping",
        """UPDATE shipments SET anomalies = '[{{"event": "x"}}]' WHERE order_id = '{done}'""",
        detail="shipping met an event that cannot happen",
    ),
    "money of no order": Plant(
        Kind.WITHOUT_ORDER,
        "payment",
        f"INSERT INTO gateway_accounts (key, status, generation, attempts) VALUES ('{UNKNOWN}', 'held', 1, 1)",
        f"{UNKNOWN} in gateway_accounts",
    ),
    "money of nothing that is known": Plant(
        Kind.WITHOUT_ORDER,
        "payment",
        "INSERT INTO gateway_accounts (key, status, generation, attempts) VALUES ('by hand', 'held', 1, 1)",
        "by hand in gateway_accounts",
    ),
    "a payment of no order": Plant(
        Kind.WITHOUT_ORDER,
        "payment",
        f"INSERT INTO payments (order_id, state) VALUES ('{UNKNOWN}', 'authorized')",
        f"{UNKNOWN} in payments",
    ),
    "goods of no order": Plant(
        Kind.WITHOUT_ORDER,
        "inventory",
        f"INSERT INTO reservations (order_id, state) VALUES ('{UNKNOWN}', 'reserved')",
        f"{UNKNOWN} in reservations",
    ),
    "a parcel of no order": Plant(
        Kind.WITHOUT_ORDER,
        "shipping",
        f"INSERT INTO shipments (order_id, state) VALUES ('{UNKNOWN}', 'ready')",
        f"{UNKNOWN} in shipments",
    ),
    "a booking of no order": Plant(
        Kind.WITHOUT_ORDER,
        "shipping",
        f"INSERT INTO carrier_bookings (key, status, attempts) VALUES ('{UNKNOWN}', 'booked', 1)",
        f"{UNKNOWN} in carrier_bookings",
    ),
    "another amount at the gateway": Plant(
        Kind.AMOUNT_DIFFERS,
        "payment",
        "UPDATE gateway_accounts SET amount = 2581 WHERE key = '{done}'",
        detail="costs 2580 EUR, the gateway has 2581 EUR",
    ),
    "another currency in payment": Plant(
        Kind.AMOUNT_DIFFERS,
        "payment",
        "UPDATE payments SET currency = 'USD' WHERE order_id = '{done}'",
        detail="costs 2580 EUR, payment has 2580 USD",
    ),
    "captured there, not here": Plant(
        Kind.LEDGERS_DIFFER,
        "payment",
        "UPDATE gateway_accounts SET status = 'captured' WHERE key = '{ready}'",
        "{ready}",
        "authorized in payment, captured at the gateway",
    ),
    "an authorization that is nowhere": Plant(
        Kind.AUTHORIZATION_LOST,
        "payment",
        "DELETE FROM gateway_accounts WHERE key = '{cancelled}'",
        "{cancelled}",
        "voided in payment, unknown where its money is",
    ),
    "a payment's row that is gone": Plant(
        Kind.AUTHORIZATION_LOST, "payment", "DELETE FROM payments WHERE order_id = '{done}'", detail="is new in payment"
    ),
    "captured, not ready": Plant(
        Kind.CAPTURED_UNREADY,
        "payment",
        "UPDATE gateway_accounts SET status = 'captured' WHERE key = '{cancelled}'",
        "{cancelled}",
        "its parcel is failed",
    ),
    "paid, not captured": Plant(
        Kind.NOT_CAPTURED,
        "payment",
        """UPDATE payments SET state = 'unpaid' WHERE order_id = '{done}';
           UPDATE gateway_accounts SET status = 'unpaid' WHERE key = '{done}'""",
        detail="is unpaid in payment",
    ),
    "money still held": Plant(
        Kind.MONEY_HELD,
        "payment",
        "UPDATE gateway_accounts SET status = 'held' WHERE key = '{cancelled}'",
        "{cancelled}",
        "held at the gateway",
    ),
    "charged twice": Plant(
        Kind.DUPLICATE_ACCOUNT,
        "payment",
        """INSERT INTO gateway_accounts (key, status, amount, currency, generation, attempts)
           VALUES (replace('{done}', '-', ''), 'captured', 2580, 'EUR', 1, 1)""",
        "in gateway_accounts",
        "besides that of order {done}",
    ),
    "unexplained stock": Plant(
        Kind.STOCK_ON_HAND,
        "inventory",
        "ALTER TABLE stock DROP CONSTRAINT movements_explain_on_hand; UPDATE stock SET on_hand = 99",
        "MUG-01",
        "99 on hand, but 95 initial + 5 received - 4 shipped",
    ),
    "oversold": Plant(
        Kind.STOCK_OVERSOLD,
        "inventory",
        "ALTER TABLE stock DROP CONSTRAINT available_not_negative; UPDATE stock SET reserved = 99",
        "MUG-01",
        "96 on hand, 99 reserved",
    ),
    "reserved for nobody": Plant(
        Kind.STOCK_RESERVED, "inventory", "UPDATE stock SET reserved = 2", "MUG-01", "2 counted, its rows explain 4"
    ),
    "reserved of what is not stocked": Plant(
        Kind.STOCK_RESERVED,
        "inventory",
        """UPDATE reservations SET items = '[{{"sku": "GONE-01", "quantity": 3}}]' WHERE order_id = '{reserved}'""",
        "GONE-01",
        "0 counted, its rows explain 3",
    ),
    "shipped to nobody": Plant(
        Kind.STOCK_SHIPPED,
        "inventory",
        "UPDATE stock SET shipped = 6, on_hand = 94",
        "MUG-01",
        "6 counted, its rows explain 4",
    ),
    "received from nowhere": Plant(
        Kind.STOCK_RECEIVED, "inventory", "DELETE FROM stock_receipts", "MUG-01", "5 counted, its rows explain 0"
    ),
    "a receipt that is not booked": Plant(
        Kind.STOCK_RECEIVED,
        "inventory",
        "UPDATE stock_receipts SET said = '{{}}'",
        "MUG-01",
        "5 counted, its rows explain 0",
    ),
    "other goods": Plant(
        Kind.GOODS_DIFFER,
        "inventory",
        """UPDATE reservations SET items = '[{{"sku": "POT-01", "quantity": 2}}]' WHERE order_id = '{done}'""",
        detail="ordered 2 MUG-01, shipped: 2 POT-01",
    ),
    "cancelled, still reserved": Plant(
        Kind.GOODS_HELD,
        "inventory",
        "UPDATE reservations SET state = 'reserved' WHERE order_id = '{cancelled}'",
        "{cancelled}",
        "cancelled, its goods are reserved",
    ),
    "ready, not reserved": Plant(
        Kind.GOODS_MISSING,
        "inventory",
        "UPDATE reservations SET state = 'released' WHERE order_id = '{done}'",
        detail="ready, its goods are released",
    ),
    "known as shipped, and here": Plant(
        Kind.GOODS_MISSING,
        "inventory",
        "UPDATE reservations SET state = 'reserved' WHERE order_id = '{done}'",
        detail="ready, its goods are reserved",
    ),
    "a parcel of an order that is over": Plant(
        Kind.PARCEL_UNWANTED,
        "shipping",
        "UPDATE shipments SET state = 'ready' WHERE order_id = '{cancelled}'",
        "{cancelled}",
        "cancelled, its parcel is ready",
    ),
    "a parcel that shipping does not know": Plant(
        Kind.PARCEL_UNWANTED,
        "shipping",
        "UPDATE carrier_bookings SET status = 'booked' WHERE key = '{cancelled}'",
        "{cancelled}",
        "booked at the carrier, failed in shipping",
    ),
    "ready without a parcel": Plant(
        Kind.PARCEL_MISSING,
        "shipping",
        "DELETE FROM shipments WHERE order_id = '{done}'",
        detail="its parcel is new in shipping",
    ),
    "no parcel at the carrier": Plant(
        Kind.PARCEL_MISSING,
        "shipping",
        "DELETE FROM carrier_bookings WHERE key = '{done}'",
        detail="unknown at the carrier",
    ),
    "not undone": Plant(
        Kind.UNDO_PENDING,
        "shipping",
        """UPDATE shipments SET state = 'cancelled', cancel_reason = 'customer', undo = true
           WHERE order_id = '{cancelled}'""",
        "{cancelled}",
        "not yet at the carrier",
    ),
    "said by nobody": Plant(
        Kind.FACT_UNSAID,
        "order_api",
        f"{_FACTS} UPDATE facts SET event_id = gen_random_uuid() WHERE order_id = '{{rejected}}'",
        "{rejected}",
        "nobody said order.created, payment.declined",
    ),
    "never heard": Plant(
        Kind.FACT_MISSING,
        "order_api",
        f"{_FACTS} DELETE FROM facts WHERE order_id = '{{done}}' AND name = 'inventory.reserved'",
        detail="the order API never heard inventory.reserved",
    ),
    "unsent": Plant(
        Kind.MESSAGE_UNSENT,
        "shipping",
        "UPDATE outbox SET sent_at = NULL WHERE order_id = '{done}'",
        "in the outbox of shipping",
        "of order {done} waits in the outbox of shipping",
    ),
    "lost": Plant(
        Kind.MESSAGE_MISSING,
        "inventory",
        "DELETE FROM inbox WHERE queue = 'inventory.shipping.ready'",
        "in the outbox of shipping",
        "of order {done} is neither applied nor parked: inventory.shipping.ready",
    ),
}


async def looked(audit: Audit) -> Balance:
    """What two looks find."""
    await audit.look()
    return await audit.look()


async def test_a_shop_in_order_has_no_violations(shop: Shop, auditing: MakeAudit) -> None:
    """Finished orders, one of each end: the books agree, and nothing is found."""
    balance = await looked(auditing(shop))
    assert (balance.violations, balance.suspected, balance.complete) == ([], False, True)
    assert balance.orders == {"cancelled": 1, "ready": 1, "rejected": 1}
    money = balance.money["EUR"]
    assert (money.accepted, money.authorized, money.captured, money.voided, money.open) == (7740, 5160, 2580, 2580, 0)
    assert [(stock.sku, stock.on_hand, stock.reserved, stock.shipped) for stock in balance.stock] == [
        ("MUG-01", 98, 0, 2)
    ]
    created = balance.messages["payment.order.created"]
    assert (created.published, created.applied, created.in_flight, created.missing) == (3, 3, 0, 0)


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS.keys())
async def test_a_planted_violation_is_found(original: Shop, spoil: Spoil, auditing: MakeAudit, plant: Plant) -> None:
    """Rows that break a rule are found, with what they are about."""
    orders = original.orders
    shop = await spoil(plant.service, plant.statements.format(**orders))
    found = (await looked(auditing(shop))).violations
    subject, detail = plant.subject.format(**orders), plant.detail.format(**orders)
    assert any(each.kind == plant.kind and subject in each.subject and detail in each.detail for each in found), found


async def test_what_is_planted_is_not_there_before(original: Shop, auditing: MakeAudit) -> None:
    """The shop in which violations are planted has its stuck orders, and nothing else to complain of."""
    found = {(each.kind, each.subject) for each in (await looked(auditing(original))).violations}
    stuck = {str(original.orders[stage]) for stage in ("reserved", "ready")}
    owed = (Kind.PAYMENT_OVERDUE, str(original.orders["unpaid"]))
    assert found == {*((Kind.ORDER_OVERDUE, order_id) for order_id in stuck), owed}


def test_every_kind_is_planted() -> None:
    """No kind of violation is without a test that shows it."""
    assert {plant.kind for plant in PLANTS.values()} == set(Kind)


async def test_a_busy_shop_has_no_violations(shop: Shop, auditing: MakeAudit) -> None:
    """Young orders at every stage, with every step half done: all of it is in flight, and nothing is reported."""
    orders = {stage: await shop.order(stage, YOUNG) for stage in STORIES}
    held, booked, taken, unheard = orders["accepted"], orders["reserved"], orders["ready"], orders["authorized"]
    await shop.run(
        "payment",
        "INSERT INTO gateway_accounts (key, status, amount, currency, generation, attempts) "
        "VALUES ($1, 'held', 2580, 'EUR', 1, 1)",
        str(held),
    )
    await shop.run(
        "shipping", "INSERT INTO carrier_bookings (key, status, attempts) VALUES ($1, 'booked', 1)", str(booked)
    )
    await shop.run("payment", "UPDATE gateway_accounts SET status = 'captured' WHERE key = $1", str(taken))
    unlocked = "ALTER TABLE facts DISABLE TRIGGER facts_are_final"
    await shop.run("order_api", unlocked)
    await shop.run("order_api", "DELETE FROM facts WHERE order_id = $1 AND name = 'payment.authorized'", unheard)
    await shop.run("order_api", "DELETE FROM inbox WHERE event_id = $1", event_id(unheard, "payment.authorized"))
    await shop.run("order_api", "UPDATE orders SET state = 'pending' WHERE order_id = $1", unheard)
    await shop.run("payment", "UPDATE outbox SET sent_at = NULL WHERE order_id = $1", unheard)
    balance = await looked(auditing(shop))
    assert (balance.violations, balance.suspected) == ([], False)
    assert balance.messages["order_api.payment.authorized"].in_flight == 1
    assert balance.money["EUR"].open == 6 * 2580  # all that were authorized, but those that ended and the one taken
    patient = await looked(auditing(shop, grace=1))
    assert {each.kind for each in patient.violations} >= {
        Kind.ORDER_OVERDUE,
        Kind.PAYMENT_OVERDUE,
        Kind.LEDGERS_DIFFER,
        Kind.PARCEL_UNWANTED,
        Kind.FACT_MISSING,
        Kind.MESSAGE_UNSENT,
    }


async def test_what_one_reading_saw_alone_is_not_reported(shop: Shop, auditing: MakeAudit) -> None:
    """Something that is right again when it is looked at once more is no violation."""
    order_id = shop.orders["done"]
    audit = auditing(shop)
    await shop.run("payment", "UPDATE gateway_accounts SET amount = 1 WHERE key = $1", str(order_id))
    first = await audit.look()
    assert (first.violations, first.suspected) == ([], True)
    await shop.run("payment", "UPDATE gateway_accounts SET amount = 2580 WHERE key = $1", str(order_id))
    second = await audit.look()
    assert (second.violations, second.suspected) == ([], False)


async def test_what_comes_right_is_a_violation_no_longer(shop: Shop, auditing: MakeAudit) -> None:
    """A violation ends with the look that finds it gone: of an order, of stock, of a stray row, of a message."""
    done = shop.orders["done"]
    audit = auditing(shop, stock_interval=1e-6)
    broken = {
        "payment": f"INSERT INTO payments (order_id, state) VALUES ('{UNKNOWN}', 'voided')",
        "inventory": "UPDATE stock SET reserved = 2",
        "shipping": f"UPDATE shipments SET anomalies = '[1]' WHERE order_id = '{done}'",
        "order_api": f"DELETE FROM inbox WHERE queue = '{QUEUE}'",
    }
    for service, statement in broken.items():
        await shop.run(service, statement)
    kinds = {each.kind for each in (await looked(audit)).violations}
    assert kinds == {Kind.WITHOUT_ORDER, Kind.STOCK_RESERVED, Kind.ANOMALY, Kind.MESSAGE_MISSING}
    declined = event_id(shop.orders["rejected"], "payment.declined")
    mended = {
        "payment": f"DELETE FROM payments WHERE order_id = '{UNKNOWN}'",
        "inventory": "UPDATE stock SET reserved = 0",
        "shipping": "UPDATE shipments SET anomalies = '[]'",
        "order_api": f"INSERT INTO inbox (event_id, queue, redrive) VALUES ('{declined}', '{QUEUE}', 1)",
    }
    for service, statement in mended.items():
        await shop.run(service, statement)
    balance = await audit.look()
    assert (balance.violations, balance.suspected) == ([], False)


async def test_what_happens_to_a_settled_order_later_is_found(shop: Shop, auditing: MakeAudit) -> None:
    """An order that is not read any more, and whose row meets the impossible, is found by the next round."""
    audit = auditing(shop, round_interval=1e-6)
    assert (await looked(audit)).violations == []
    await shop.run("payment", "UPDATE payments SET anomalies = '[1]' WHERE order_id = $1", shop.orders["cancelled"])
    (found,) = (await looked(audit)).violations
    assert (found.kind, found.subject) == (Kind.ANOMALY, str(shop.orders["cancelled"]))
    await shop.run("payment", "UPDATE payments SET anomalies = '[]'")
    assert (await audit.look()).violations == []


async def test_two_violations_of_a_kind_are_told_together(shop: Shop, auditing: MakeAudit) -> None:
    """What is wrong with one order in two places is one violation, and both places are named."""
    await shop.run("payment", "UPDATE payments SET amount = 1 WHERE state = 'captured'")
    await shop.run("payment", "UPDATE gateway_accounts SET amount = 2 WHERE status = 'captured'")
    (found,) = (await looked(auditing(shop))).violations
    assert found.kind == Kind.AMOUNT_DIFFERS
    assert "payment has 1 EUR" in found.detail
    assert "the gateway has 2 EUR" in found.detail


async def test_all_of_stock_is_added_up_no_more_often_than_it_should(shop: Shop, auditing: MakeAudit) -> None:
    """A stock violation is confirmed at once; after that inventory is read at its interval again, found or not."""
    await shop.run("inventory", "UPDATE stock SET reserved = 2")
    audit = auditing(shop)
    assert [each.kind for each in (await looked(audit)).violations] == [Kind.STOCK_RESERVED]
    await shop.run("inventory", "UPDATE stock SET reserved = 0")
    assert [each.kind for each in (await audit.look()).violations] == [Kind.STOCK_RESERVED]
