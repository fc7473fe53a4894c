"""Books the shipment."""

from collections.abc import Sequence

import asyncpg

from benchmarks.peers.limit.kernel import Handle, connect
from benchmarks.peers.limit.messages import Heard, Said, say
from benchmarks.peers.limit.statements import answer, answering

QUEUES = ("shipping.inventory.reserved",)

_BOOK = """
    INSERT INTO carrier_bookings (key, status, attempts) SELECT key, 'booked', 1 FROM unnest($1::text[]) AS t (key)
    ON CONFLICT DO NOTHING
"""
_READY = answering(
    QUEUES[0],
    "shipping.ready",
    """
    INSERT INTO shipments (order_id, state, said, carrier, tracking_number, undo)
    SELECT order_id, 'ready', jsonb_build_object('shipping.ready', body::jsonb), 'simulated', tracking_number, false
    FROM new
    """,
    tracking_number="text",
)


async def begin() -> Handle:
    """Return what handles its groups; the carrier's rows are written ahead of ours, as by a carrier."""
    carrier = await connect()

    async def handle(db: asyncpg.Connection, group: Sequence[Heard]) -> list[Said]:
        await carrier.execute(_BOOK, [str(heard.order_id) for heard in group])
        numbers = [f"SIM{heard.order_id.hex.upper()}" for heard in group]
        said = [
            say("shipping.ready", heard.order_id, heard.event_id, {"carrier": "simulated", "tracking_number": number})
            for heard, number in zip(group, numbers, strict=True)
        ]
        return await answer(db, _READY, said, numbers)

    return handle
