"""Customers who order at a steady rate whatever happens: an open loop, the same for the same seed.

Each asks under an idempotency key; whoever does not learn what became of the order asks again under the same key.
"""

import asyncio
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import aio_pika
import httpx2
from aiormq.exceptions import AMQPError

from tests.e2e.shop import Wish, wish
from tests.faults.lab import Lab
from tests.invariants.design import CONSUMERS, EVENTS_EXCHANGE
from tests.invariants.expectations import Ending, Parked
from tests.invariants.history import Answer, ask

DUPLICATES, DECLINES, POISON, CONFLICTS = 0.05, 0.05, 0.01, 0.005
"""Shares of the requests: sent twice, declined, with a broken message beside, sent again with another body."""
PATIENCE = 10.0
"""Seconds that a client waits for an answer."""
TRIES = 40
PAUSE = 0.5
"""Seconds before an order whose answer was lost is asked for again."""
CONNECTIONS = 200
"""Requests that are asked at the same time. While a database says nothing, customers wait for their turn to ask; that
is no time of the API's."""
_IN_PROGRESS = 409
"""The same request is being answered to somebody else: ask again."""
_EXPECTED = {200, 201, 422, _IN_PROGRESS}
_PLENTY = ("MUG-01", "TEE-01", "CAP-01", "BAG-01", "PEN-01")


@dataclass(frozen=True)
class Mix:
    """Shares of orders whose card or carrier is in trouble."""

    flaky: float = 0.03
    silent: float = 0.0


def wishes(dice: random.Random, mix: Mix) -> Iterator[Wish]:
    """Orders without end, of which each can be told how it is to end."""
    while True:
        lines = {sku: dice.randint(1, 5) for sku in dice.sample(_PLENTY, k=dice.choice((1, 1, 1, 2, 4)))}
        drawn = dice.random()
        if drawn < DECLINES:
            yield wish(Ending.REJECTED, lines, token=dice.choice(("tok_declined", "tok_insufficient_funds")))
        elif drawn < 0.09:
            yield wish(Ending.CANCELLED, lines, postal_code="00000")
        elif drawn < 0.11:
            yield wish(Ending.CANCELLED, {**lines, "SOLD-01": 1})
        elif drawn < 0.14:
            yield replace(wish(Ending.ANY, lines), cancel_after=dice.uniform(0, 0.3))
        elif drawn < 0.14 + mix.flaky:
            yield wish(Ending.READY, lines, token="tok_flaky")
        elif drawn < 0.14 + mix.flaky * 4 / 3:
            yield wish(Ending.READY, lines, city="Flaky")
        elif drawn < 0.14 + mix.flaky * 4 / 3 + mix.silent:
            yield wish(Ending.READY, lines, token="tok_timeout")
        else:
            yield wish(Ending.READY, lines)


@dataclass
class Load:
    """Orders at `rate` a second until it is told to stop, and what came of them."""

    lab: Lab
    rate: float
    seed: int
    mix: Mix = field(default_factory=Mix)
    apis: list[str] = field(default_factory=list[str])
    """Where the customers order; one may be taken away while they do."""
    planned: int = 0
    """Requests that were due so far."""
    late: float = 0.0
    """Seconds by which the last request was behind its time: what this machine could not hold."""
    answers: list[Answer] = field(default_factory=list[Answer])
    accepted: dict[str, Ending] = field(default_factory=dict[str, Ending])
    wrong: list[str] = field(default_factory=list[str])
    """Answers that nobody should ever get."""
    unknown: int = 0
    """Orders of which the client never learned what became of them."""
    _clients: dict[str, httpx2.AsyncClient] = field(default_factory=dict[str, httpx2.AsyncClient])
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS))

    async def run(self, over: asyncio.Event) -> None:
        """Order until told to stop; return when everybody has an answer, or gave up."""
        dice = random.Random(self.seed)  # noqa: S311 - a test's dice
        orders = wishes(dice, self.mix)
        self.apis = self.apis or [self.lab.system.api]
        clock = asyncio.get_running_loop().time
        due = clock()
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as customers:
            stack.push_async_callback(self._close)
            while not over.is_set():
                customers.create_task(self._customer(next(orders), random.Random(dice.random())))  # noqa: S311
                if dice.random() < POISON:
                    customers.create_task(self._poison(dice.choice(sorted(CONSUMERS)), _uuid(dice), _uuid(dice)))
                self.planned += 1
                due += dice.expovariate(self.rate)
                self.late = max(0.0, clock() - due)
                await asyncio.sleep(max(0.0, due - clock()))

    async def _customer(self, wanted: Wish, dice: random.Random) -> None:
        key = str(_uuid(dice))
        body = {**wanted.body, "customer_id": key}
        twice = dice.random() < DUPLICATES
        if twice and dice.random() < 0.5:
            found, _ = await asyncio.gather(self._ask(body, key), self._ask(body, key))
        else:
            found = await self._ask(body, key)
            if twice:
                await self._ask(body, key)
        if found is None:
            self.unknown += 1
            return
        self.accepted[found] = wanted.ending
        if dice.random() < CONFLICTS:
            await self._once({**body, "currency": "USD"}, key)
        if wanted.cancel_after is not None:
            await asyncio.sleep(wanted.cancel_after)
            try:
                async with self._turns:
                    await self._client().post(f"/orders/{found}/cancel")
            except httpx2.TransportError:
                return  # it may end either way in any case

    async def _ask(self, body: Mapping[str, Any], key: str) -> str | None:
        """Ask until it is known what became of the order; None when the patience is over, or it was refused."""
        for _ in range(TRIES):
            answer = await self._once(body, key)
            if not answer.indeterminate and answer.status != _IN_PROGRESS:
                return answer.order_id
            await asyncio.sleep(PAUSE)
        return None

    async def _once(self, body: Mapping[str, Any], key: str) -> Answer:
        async with self._turns:
            answer = await ask(self._client(), body, key)
        self.answers.append(answer)
        if not answer.indeterminate and answer.status not in _EXPECTED:
            self.wrong.append(f"POST /orders was answered with {answer.status}")
        return answer

    def _client(self) -> httpx2.AsyncClient:
        """Of one API after the other."""
        api = self.apis[len(self.answers) % len(self.apis)]
        if api not in self._clients:
            limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
            headers = self.lab.system.authorization
            self._clients[api] = httpx2.AsyncClient(base_url=api, headers=headers, timeout=PATIENCE, limits=limits)
        return self._clients[api]

    async def _close(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def _poison(self, event: str, message_id: UUID, order_id: UUID) -> None:
        """Say an event that breaks the contract: whoever hears it parks it."""
        body = json.dumps({"event_id": str(message_id), "order_id": str(order_id)}).encode()
        message = aio_pika.Message(
            body, message_id=str(message_id), correlation_id=str(order_id), type=f"{event}.v1", delivery_mode=2
        )
        parked = {Parked(f"{service}.{event}", str(order_id), "Poison") for service in CONSUMERS[event]}
        expected, sent = self.lab.expected, False
        try:
            async with (
                asyncio.timeout(PATIENCE),
                await aio_pika.connect(self.lab.system.wiring.amqp_url, timeout=PATIENCE) as connection,
            ):
                exchange = await (await connection.channel()).get_exchange(EVENTS_EXCHANGE, ensure=False)
                sent = True
                await exchange.publish(message, event)
        except (AMQPError, OSError, TimeoutError):
            if sent:
                expected.uncertain |= parked
        else:
            expected.parked += parked


def _uuid(dice: random.Random) -> UUID:
    return UUID(int=dice.getrandbits(128), version=4)
