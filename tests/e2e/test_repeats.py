"""What was said before is said again: by a broker that delivers twice, and by a re-drive."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import aio_pika
import asyncpg
import pytest
import pytest_asyncio

from tests.broker.rabbit import until
from tests.e2e.conftest import Expected
from tests.e2e.shop import Shop, wish
from tests.e2e.system import System
from tests.e2e.test_orders import READY, UNDELIVERABLE
from tests.invariants.books import Books, Said, ask, read
from tests.invariants.checker import Checker
from tests.invariants.design import CONSUMERS, EVENTS_EXCHANGE
from tests.invariants.expectations import Ending
from tests.invariants.queues import Broker

pytestmark = pytest.mark.e2e

COPIES = 3
STATISTICS_INTERVAL = 1.2
"""Seconds after which the broker's counters have been brought up to date; its setting is one."""

_SAID = "SELECT * FROM outbox WHERE order_id = '{}' ORDER BY id"
_AGAIN = """
    INSERT INTO outbox (id, event_id, name, type, order_id, body, headers, redrive, due_at)
    SELECT gen_random_uuid(), event_id, name, type, order_id, body, '{"x-redrive": 1}', 1, now()
    FROM outbox WHERE order_id = $1::text::uuid AND name = 'order.created'
"""


@pytest_asyncio.fixture
async def events(system: System) -> AsyncGenerator[aio_pika.abc.AbstractExchange]:
    """The exchange of events, to publish to by hand."""
    async with await aio_pika.connect(system.wiring.amqp_url) as connection:
        channel = await connection.channel()
        yield await channel.get_exchange(EVENTS_EXCHANGE, ensure=False)


async def all_said(system: System, order_id: str) -> list[dict[str, Any]]:
    """Every message about an order, from the outboxes of all services."""
    outboxes = [await ask(url, _SAID.format(order_id)) for url in system.wiring.databases.values()]
    return [message for answer in outboxes for message in answer[0]]


async def acknowledged(broker: Broker) -> Counter[str]:
    """How many deliveries of each queue were acknowledged so far."""
    found = await broker.statistics()
    return Counter({queue["name"]: queue.get("message_stats", {}).get("ack", 0) for queue in found})


async def acknowledged_at_rest(broker: Broker) -> Counter[str]:
    """The same, once the broker's counters have caught up with what is over."""
    seen = await acknowledged(broker)
    while True:
        await asyncio.sleep(STATISTICS_INTERVAL)
        before, seen = seen, await acknowledged(broker)
        if before == seen:
            return seen


async def test_duplicate_deliveries_change_nothing(  # noqa: PLR0913 - fixtures
    system: System,
    shop: Shop,
    checker: Checker,
    *,
    events: aio_pika.abc.AbstractExchange,
    expected: Expected,
    all_is_well: Callable[[], Awaitable[None]],
) -> None:
    """Every event of a shipped order and of an undone one, published again three times, changes no row anywhere."""
    messages: list[dict[str, Any]] = []
    for wanted, ends in ((wish(Ending.READY), READY), (wish(Ending.CANCELLED, postal_code="00000"), UNDELIVERABLE)):
        order_id = await shop.place(wanted)
        expected.endings[order_id] = wanted.ending
        await shop.told(order_id, ends)
        messages += await all_said(system, order_id)
    await checker.drain()
    before = await read(system.wiring.databases)
    goal = await acknowledged_at_rest(checker.broker)
    for message in messages:
        goal.update({f"{service}.{message['name']}": COPIES for service in CONSUMERS[message["name"]]})
        for _ in range(COPIES):
            await events.publish(_as_sent(message), message["name"])

    async def all_consumed() -> bool:
        return goal <= await acknowledged(checker.broker)

    await until(all_consumed)
    assert await read(system.wiring.databases) == before
    await all_is_well()


async def test_a_re_drive_is_answered_and_changes_nothing(
    system: System, shop: Shop, checker: Checker, expected: Expected, all_is_well: Callable[[], Awaitable[None]]
) -> None:
    """An order that is over and is driven again: each service says again what it said, and nothing else changes."""
    wanted = wish(Ending.READY)
    order_id = await shop.place(wanted)
    expected.endings[order_id] = wanted.ending
    await shop.told(order_id, READY)
    await checker.drain()
    before = await read(system.wiring.databases)

    connection: Any = await asyncpg.connect(system.wiring.databases["order_api"])
    try:
        await connection.execute(_AGAIN, order_id)
        await connection.execute("NOTIFY outbox")
    finally:
        await connection.close()
    await checker.drain()

    after = await read(system.wiring.databases)
    again = [said for said in after.said if said.redrive and said.order_id == order_id]
    assert {said.name for said in again} == READY
    assert {(said.event_id, said.body) for said in again} <= {(said.event_id, said.body) for said in before.said}
    assert _without_messages(after) == _without_messages(before)
    await all_is_well()


def _without_messages(books: Books) -> Books:
    nothing: list[Said] = []
    return replace(books, said=nothing, applied=[])


def _as_sent(message: dict[str, Any]) -> aio_pika.Message:
    """The message as its producer sent it."""
    return aio_pika.Message(
        message["body"].encode(),
        message_id=str(message["event_id"]),
        type=message["type"],
        correlation_id=str(message["order_id"]),
        content_type="application/json",
        delivery_mode=2,
        headers=json.loads(message["headers"]),
    )
