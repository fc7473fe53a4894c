"""The rows of a shop with three finished orders, written by hand: the checker is tested on no service's code."""

import json
from collections import defaultdict
from uuid import UUID, uuid5

from tests.invariants.design import CONSUMERS
from tests.invariants.expectations import Ending

READY = "00000000-0000-4000-8000-00000000000a"
REJECTED = "00000000-0000-4000-8000-00000000000b"
CANCELLED = "00000000-0000-4000-8000-00000000000c"
UNKNOWN = "00000000-0000-4000-8000-00000000000f"

RESERVED = ("order.created", "payment.authorized", "inventory.reserved")
STORIES = {
    READY: (*RESERVED, "shipping.ready", "inventory.shipped", "payment.captured"),
    REJECTED: ("order.created", "payment.declined"),
    CANCELLED: (*RESERVED, "shipping.failed", "inventory.released", "payment.voided"),
}
EXPECTED = {READY: Ending.READY, REJECTED: Ending.REJECTED, CANCELLED: Ending.CANCELLED}
_ITEMS = json.dumps([{"sku": "MUG-01", "quantity": 2, "unit_price": 1290}])

_ORDER = """
    INSERT INTO orders (order_id, state, client_id, customer_id, currency, total, items, created_at, updated_at,
                        redrives)
    VALUES ('{order_id}', '{state}', 'storefront', 'c-42', 'EUR', 2580, '{items}', now(), now(), 0);
"""
_FACT = """
    INSERT INTO facts (order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_after)
    VALUES ('{order_id}', '{name}', '{event_id}', now(), now(), '{{}}', 'somebody', 'pending');
"""
_SAID = """
    INSERT INTO outbox (id, event_id, name, type, order_id, body, headers, redrive, due_at, sent_at)
    VALUES (gen_random_uuid(), '{event_id}', '{name}', '{name}.v1', '{order_id}', '{name}', '{{}}', 0, now(), now());
"""
_APPLIED = "INSERT INTO inbox (event_id, queue, redrive) VALUES ('{event_id}', '{queue}', 0);"
_OUTCOMES = f"""
    INSERT INTO payments (order_id, state, said, amount, currency) VALUES
        ('{READY}', 'captured', '{{"payment.authorized": {{}}}}', 2580, 'EUR'),
        ('{REJECTED}', 'declined', '{{"payment.declined": {{}}}}', NULL, NULL),
        ('{CANCELLED}', 'voided', '{{"payment.authorized": {{}}}}', 2580, 'EUR');
    INSERT INTO gateway_accounts (key, status, amount, currency, generation, attempts) VALUES
        ('{READY}', 'captured', 2580, 'EUR', 1, 1),
        ('{REJECTED}', 'declined', 2580, 'EUR', 1, 1),
        ('{CANCELLED}', 'voided', 2580, 'EUR', 1, 1);
"""  # noqa: S608 - constants, as in all that follow
_GOODS = f"""
    INSERT INTO reservations (order_id, state, items) VALUES
        ('{READY}', 'shipped', '{_ITEMS}'), ('{CANCELLED}', 'released', '{_ITEMS}');
    INSERT INTO stock (sku, on_hand, reserved, initial, received, shipped) VALUES
        ('MUG-01', 13, 0, 10, 5, 2), ('SOLD-01', 0, 0, 0, 0, 0);
    INSERT INTO stock_receipts (event_id, sku, quantity, said) VALUES
        (gen_random_uuid(), 'MUG-01', 5, '{{"on_hand": 15}}');
"""  # noqa: S608
_PARCELS = f"""
    INSERT INTO shipments (order_id, state) VALUES ('{READY}', 'ready'), ('{CANCELLED}', 'failed');
    INSERT INTO carrier_bookings (key, status, attempts) VALUES
        ('{READY}', 'booked', 1), ('{CANCELLED}', 'undeliverable', 1);
"""  # noqa: S608


def event_id(order_id: str, name: str) -> UUID:
    """The id of an event about one of these orders."""
    return uuid5(UUID(order_id), name)


def in_order() -> dict[str, str]:
    """The statements that fill each service's database."""
    orders = [_ORDER.format(order_id=each, state=end, items=_ITEMS) for each, end in EXPECTED.items()]
    statements: defaultdict[str, list[str]] = defaultdict(list)
    statements |= {"order_api": orders, "payment": [_OUTCOMES], "inventory": [_GOODS], "shipping": [_PARCELS]}
    for order_id, names in STORIES.items():
        for name in names:
            row = {"order_id": order_id, "name": name, "event_id": event_id(order_id, name)}
            producer = name.partition(".")[0].replace("order", "order_api")
            statements[producer].append(_SAID.format(**row))
            for consumer in CONSUMERS[name]:
                statements[consumer].append(_APPLIED.format(**row, queue=f"{consumer}.{name}"))
            if name != "order.created":
                statements["order_api"].append(_FACT.format(**row))
    return {service: "\n".join(parts) for service, parts in statements.items()}
