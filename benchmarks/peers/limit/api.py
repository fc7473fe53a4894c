"""A bare ASGI application: concurrent orders share a transaction, and outcomes go on their timelines."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
from uuid_utils.compat import uuid7

from benchmarks.contender import PRODUCTS
from benchmarks.peers.limit.kernel import GROUP, Kernel, connect
from benchmarks.peers.limit.messages import Heard, Said, say
from benchmarks.peers.limit.statements import ACCEPT, CLAIM, LOCK, RECORD

QUEUES = tuple(
    f"order_api.{event}"
    for event in (
        "payment.authorized",
        "inventory.reserved",
        "shipping.ready",
        "payment.captured",
        "inventory.shipped",
    )
)
STATES = (("shipping.ready", "ready"), ("inventory.reserved", "reserved"), ("payment.authorized", "authorized"))
SETTLED = {"payment.captured", "inventory.shipped"}
TOLD = {"amount", "carrier", "payment_id", "tracking_number"}

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Placing:
    """An order that waits for its transaction."""

    def __init__(self, wish: dict[str, Any]) -> None:
        lines = [{**item, "unit_price": PRODUCTS[item["sku"]]} for item in wish["items"]]
        total = sum(line["quantity"] * line["unit_price"] for line in lines)
        self.customer_id = wish["customer_id"]
        self.total, self.items, self.at = total, orjson.dumps(lines).decode(), datetime.now(UTC)
        self.said = say(
            "order.created",
            uuid7(),
            None,
            {
                "customer_id": wish["customer_id"],
                "items": lines,
                "total": {"amount": total, "currency": wish["currency"]},
                "payment_token": wish["payment_token"],
                "shipping_address": {"line2": None, **wish["shipping_address"]},
            },
        )
        self.accepted = asyncio.get_running_loop().create_future()

    @property
    def view(self) -> bytes:
        """What the customer is answered."""
        view = {"order_id": self.said.order_id, "status": "pending", "total": self.total, "created_at": self.at}
        return orjson.dumps(view)


class Shop:
    """Accepts orders, all that are there in one transaction, and keeps their timelines."""

    def __init__(self) -> None:
        self._placing: list[Placing] = []
        self._ready = asyncio.Event()
        self._kernel = Kernel(QUEUES, record)

    async def start(self) -> None:
        await self._kernel.start()
        self._work = asyncio.create_task(self._accept(await connect()))

    async def place(self, wish: dict[str, Any]) -> bytes:
        placing = Placing(wish)
        self._placing.append(placing)
        self._ready.set()
        await placing.accepted
        return placing.view

    async def _accept(self, db: asyncpg.Connection) -> None:
        while True:
            await self._ready.wait()
            group, self._placing = self._placing[:GROUP], self._placing[GROUP:]
            if not self._placing:
                self._ready.clear()
            rows = [
                (
                    each.said.id,
                    each.said.event_id,
                    each.said.order_id,
                    each.said.body,
                    uuid4(),
                    each.total,
                    each.items,
                    each.at,
                    each.customer_id,
                )
                for each in group
            ]
            await db.fetch(ACCEPT, *map(list, zip(*rows, strict=True)))
            for each in group:
                each.accepted.set_result(None)
            self._kernel.send([each.said for each in group])


async def record(db: asyncpg.Connection, group: Sequence[Heard]) -> list[Said]:
    """Put what happened on the orders' timelines, and derive where they stand."""
    async with db.transaction():
        claimed = await db.fetch(CLAIM, [heard.event_id for heard in group], [heard.queue for heard in group])
        fresh = {(event_id, queue) for event_id, queue in claimed}
        group = [heard for heard in group if (heard.event_id, heard.queue) in fresh]
        locked = await db.fetch(LOCK, list({heard.order_id for heard in group}))
        states: dict[UUID, str] = {order_id: state for order_id, state, _ in locked}
        known: dict[UUID, set[str]] = {order_id: set(names) for order_id, _, names in locked}
        facts: list[tuple[Any, ...]] = []
        for heard in group:
            name, names = heard.queue.partition(".")[2], known[heard.order_id]
            names.add(name)
            before = states[heard.order_id]
            after = next((state for event, state in STATES if event in names), before)
            states[heard.order_id] = after
            detail = orjson.dumps({key: heard.body[key] for key in TOLD & heard.body.keys()}).decode()
            moment = datetime.fromisoformat(heard.body["occurred_at"])
            facts.append((heard.order_id, name, heard.event_id, moment, detail, before, after))
        await db.execute(
            RECORD,
            [*states.keys()],
            [*states.values()],
            [known[order_id] >= SETTLED for order_id in states],
            *map(list, zip(*facts, strict=True)),
        )
    return []


_shop: Shop | None = None


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """POST /orders, and nothing else."""
    global _shop  # noqa: PLW0603 - it belongs to the event loop that lifespan begins in
    if scope["type"] == "lifespan":
        await receive()
        _shop = Shop()
        await _shop.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    status, answer = 200, b"{}"
    if scope["method"] == "POST":
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        assert _shop is not None  # noqa: S101 - the lifespan began
        status, answer = 201, await _shop.place(orjson.loads(body))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
