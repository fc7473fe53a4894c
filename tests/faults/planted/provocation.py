"""Orders that bring bugs out, the same for every bug: each kind of end, races, repetitions, a card's number."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import httpx2

from tests.broker.rabbit import until
from tests.e2e.shop import Wish, wish
from tests.e2e.test_repeats import acknowledged, acknowledged_at_rest
from tests.faults.planted.bugs.kernel import LAST_ORDER
from tests.invariants.books import ask as ask_database
from tests.invariants.checker import Checker
from tests.invariants.design import CONSUMERS, EVENTS_EXCHANGE
from tests.invariants.expectations import Ending, Parked
from tests.invariants.history import Answer, ask

CARD = "4111111111111111"
"""Given as a payment token; the gateway declines it."""
AT_ONCE = 8
"""Requests with one key, together."""
PLAIN, CLIENTS = 24, 4
COPIES = 2

DOWN = wish(Ending.PARKED, token="tok_down")
TOO_EARLY = wish(Ending.ANY, token="tok_flaky")
"""Cancelled while its authorization waits in a tier."""
SPECIAL = [
    DOWN,
    *[TOO_EARLY] * 3,
    wish(Ending.READY, token="tok_flaky"),
    wish(Ending.READY, city="Flaky"),
    *[wish(Ending.CANCELLED, postal_code="00000")] * 2,
    wish(Ending.CANCELLED, {"MUG-01": 1, "SOLD-01": 1}),
    *[wish(Ending.ANY, {"RARE-01": 1})] * 5,
    wish(Ending.REJECTED, token=CARD),
]
assert len(SPECIAL) + 1 < LAST_ORDER < len(SPECIAL) + 1 + PLAIN, "the plain orders are those that a crash may meet"


@dataclass
class Provocation:
    """What clients asked for and saw."""

    http: httpx2.AsyncClient
    history: list[Answer] = field(default_factory=list[Answer])
    endings: dict[str, Ending] = field(default_factory=dict[str, Ending])
    parked: set[Parked] = field(default_factory=set[Parked])

    async def run(self) -> None:
        """Place all orders: the special ones while nothing crashes the order API."""
        for number, wanted in enumerate(SPECIAL):
            answer = await self._place(wanted, f"special-{number}")
            assert answer.order_id is not None, f"answered {answer.status}"
            if wanted is TOO_EARLY:
                (await self.http.post(f"/orders/{answer.order_id}/cancel")).raise_for_status()
            if wanted is DOWN:
                self.parked.add(Parked("payment.order.created", answer.order_id, "GatewayUnavailable"))
        await self._repeat()
        numbers = iter(range(PLAIN))

        async def client() -> None:
            for number in numbers:
                await self._place(wish(Ending.READY, {"MUG-01": 1 + number % 3}), f"plain-{number}")

        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(client())

    async def _repeat(self) -> None:
        """One key: many times at once, once more, and for another order."""
        first, other = (wish(Ending.READY, {"TEE-01": pieces}) for pieces in (1, 2))
        async with asyncio.TaskGroup() as clients:
            for _ in range(AT_ONCE):
                clients.create_task(self._place(first, "repeated"))
        await self._place(first, "repeated")
        await self._place(other, "repeated")

    async def _place(self, wanted: Wish, key: str) -> Answer:
        answer = await ask(self.http, {**wanted.body, "customer_id": key}, key)
        self.history.append(answer)
        if answer.order_id is not None:
            self.endings[answer.order_id] = wanted.ending
        return answer


async def deliver_again(
    amqp_url: str, databases: Mapping[str, str], checker: Checker, provocation: Provocation
) -> None:
    """Publish every event COPIES times more, but those of orders that wait; return when all are acknowledged."""
    waiting = {letter.order_id for letter in provocation.parked}
    said = [
        row for url in databases.values() for row in (await ask_database(url, "SELECT * FROM outbox ORDER BY id"))[0]
    ]
    messages = [row for row in said if str(row["order_id"]) not in waiting]
    goal: Counter[str] = await acknowledged_at_rest(checker.broker)
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        events = await channel.get_exchange(EVENTS_EXCHANGE, ensure=False)
        for message in messages:
            goal.update({f"{service}.{message['name']}": COPIES for service in CONSUMERS[message["name"]]})
            for _ in range(COPIES):
                await events.publish(_as_sent(message), message["name"])

    async def all_consumed() -> bool:
        return goal <= await acknowledged(checker.broker)

    await until(all_consumed)


def _as_sent(message: Mapping[str, Any]) -> aio_pika.Message:
    return aio_pika.Message(
        message["body"].encode(),
        message_id=str(message["event_id"]),
        type=message["type"],
        correlation_id=str(message["order_id"] or message["event_id"]),
        content_type="application/json",
        delivery_mode=2,
        headers=json.loads(message["headers"]),
    )
