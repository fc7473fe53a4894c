"""Reserves the stock, and ships it."""

from collections import Counter
from collections.abc import Iterable, Sequence

import asyncpg
import orjson

from benchmarks.peers.limit.kernel import Handle
from benchmarks.peers.limit.messages import Heard, Said, say
from benchmarks.peers.limit.statements import answer, answering

AUTHORIZED, READY = QUEUES = ("inventory.payment.authorized", "inventory.shipping.ready")

_RESERVE = answering(
    AUTHORIZED,
    "inventory.reserved",
    """
    INSERT INTO reservations (order_id, state, said, items)
    SELECT order_id, 'reserved', jsonb_build_object('inventory.reserved', body::jsonb), items FROM new
    """,
    items="jsonb",
)
_SHIP = answering(
    READY,
    "inventory.shipped",
    """
    UPDATE reservations SET state = 'shipped', said = said || jsonb_build_object('inventory.shipped', body::jsonb)
    FROM new WHERE reservations.order_id = new.order_id
    """,
)
_HELD = "SELECT order_id, items FROM reservations WHERE order_id = ANY ($1) ORDER BY order_id FOR UPDATE"
_PIECES = "FROM unnest($1::text[], $2::bigint[]) AS t (sku, pieces) WHERE stock.sku = t.sku"
_SET_ASIDE = f"UPDATE stock SET reserved = reserved + pieces {_PIECES}"  # noqa: S608 - constants only
_HAND_OVER = f"""
    UPDATE stock SET reserved = reserved - pieces, on_hand = on_hand - pieces, shipped = shipped + pieces {_PIECES}
"""  # noqa: S608 - constants only


async def begin() -> Handle:
    """Return what handles its groups."""
    return _handle


async def _handle(db: asyncpg.Connection, group: Sequence[Heard]) -> list[Said]:
    said: list[Said] = []
    async with db.transaction():
        if authorized := [heard for heard in group if heard.queue == AUTHORIZED]:
            said += await _reserve(db, authorized)
        if ready := [heard for heard in group if heard.queue == READY]:
            said += await _ship(db, ready)
    return said


async def _reserve(db: asyncpg.Connection, group: Sequence[Heard]) -> list[Said]:
    said = [
        say(
            "inventory.reserved",
            heard.order_id,
            heard.event_id,
            {"items": heard.body["items"], "shipping_address": heard.body["shipping_address"]},
        )
        for heard in group
    ]
    items = [orjson.dumps(heard.body["items"]).decode() for heard in group]
    fresh = await answer(db, _RESERVE, said, items)
    causes = {message.cause_id for message in fresh}
    lines = (line for heard in group if heard.event_id in causes for line in heard.body["items"])
    await db.execute(_SET_ASIDE, *_pieces(lines))
    return fresh


async def _ship(db: asyncpg.Connection, group: Sequence[Heard]) -> list[Said]:
    found = await db.fetch(_HELD, [heard.order_id for heard in group])
    held = {order_id: orjson.loads(items) for order_id, items in found}
    said = [
        say("inventory.shipped", heard.order_id, heard.event_id, {"items": held[heard.order_id]}) for heard in group
    ]
    fresh = await answer(db, _SHIP, said)
    await db.execute(_HAND_OVER, *_pieces(line for message in fresh for line in held[message.order_id]))
    return fresh


def _pieces(lines: Iterable[dict[str, object]]) -> tuple[list[str], list[int]]:
    pieces: Counter[str] = Counter()
    for line in lines:
        pieces[str(line["sku"])] += int(str(line["quantity"]))
    return [*pieces.keys()], [*pieces.values()]
