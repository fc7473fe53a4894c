"""Holds the money, and takes it."""

from collections.abc import Sequence

import asyncpg

from benchmarks.peers.limit.kernel import Handle, connect
from benchmarks.peers.limit.messages import Heard, Said, say
from benchmarks.peers.limit.statements import answer, answering

CREATED, READY = QUEUES = ("payment.order.created", "payment.shipping.ready")

_HOLD = """
    INSERT INTO gateway_accounts (key, status, generation, token, amount, currency, attempts)
    SELECT key, 'held', 1, token, amount, currency, 1
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS t (key, token, amount, currency)
    ON CONFLICT DO NOTHING
"""
_TAKE = "UPDATE gateway_accounts SET status = 'captured' WHERE key = ANY ($1) RETURNING key, amount, currency"
_AUTHORIZE = answering(
    CREATED,
    "payment.authorized",
    """
    INSERT INTO payments (order_id, state, said, payment_id, amount, currency)
    SELECT order_id, 'authorized', jsonb_build_object('payment.authorized', body::jsonb), payment_id, amount, currency
    FROM new
    """,
    payment_id="text",
    amount="bigint",
    currency="text",
)
_CAPTURE = answering(
    READY,
    "payment.captured",
    """
    UPDATE payments SET state = 'captured', said = said || jsonb_build_object('payment.captured', body::jsonb)
    FROM new WHERE payments.order_id = new.order_id
    """,
)


async def begin() -> Handle:
    """Return what handles its groups."""
    return _Payment(await connect()).handle


class _Payment:
    """The remote gateway's rows are written ahead of ours, in a transaction of their own, as by a gateway."""

    def __init__(self, gateway: asyncpg.Connection) -> None:
        self._gateway = gateway

    async def handle(self, db: asyncpg.Connection, group: Sequence[Heard]) -> list[Said]:
        said: list[Said] = []
        if created := [heard for heard in group if heard.queue == CREATED]:
            said += await self._authorize(db, created)
        if ready := [heard for heard in group if heard.queue == READY]:
            said += await self._capture(db, ready)
        return said

    async def _authorize(self, db: asyncpg.Connection, group: Sequence[Heard]) -> list[Said]:
        rows = [
            (
                str(heard.order_id),
                heard.body["payment_token"],
                heard.body["total"]["amount"],
                heard.body["total"]["currency"],
            )
            for heard in group
        ]
        keys, tokens, amounts, currencies = map(list, zip(*rows, strict=True))
        await self._gateway.execute(_HOLD, keys, tokens, amounts, currencies)
        names = [_payment_id(heard) for heard in group]
        said = [
            say(
                "payment.authorized",
                heard.order_id,
                heard.event_id,
                {
                    "payment_id": name,
                    "amount": heard.body["total"],
                    "items": heard.body["items"],
                    "shipping_address": heard.body["shipping_address"],
                },
            )
            for heard, name in zip(group, names, strict=True)
        ]
        return await answer(db, _AUTHORIZE, said, names, amounts, currencies)

    async def _capture(self, db: asyncpg.Connection, group: Sequence[Heard]) -> list[Said]:
        taken = await self._gateway.fetch(_TAKE, [str(heard.order_id) for heard in group])
        amounts = {key: {"amount": amount, "currency": currency} for key, amount, currency in taken}
        said = [
            say(
                "payment.captured",
                heard.order_id,
                heard.event_id,
                {"payment_id": _payment_id(heard), "amount": amounts[str(heard.order_id)]},
            )
            for heard in group
        ]
        return await answer(db, _CAPTURE, said)


def _payment_id(heard: Heard) -> str:
    return f"pay_{heard.order_id.hex}"
