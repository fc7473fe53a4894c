"""Customers of the composed system, who order all the time and do not give up."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from uuid import uuid4

import httpx2

from tests.broker.rabbit import until
from tests.e2e.conftest import Expected
from tests.e2e.mix import SEED, mixed
from tests.e2e.shop import Wish
from tests.invariants.expectations import Ending
from tests.stack.system import Composed

CUSTOMERS = 4
PAUSE = 0.2
"""Seconds between two orders of a customer."""


@dataclass
class Load:
    """What came of it so far."""

    accepted: dict[str, Ending] = field(default_factory=dict[str, Ending])
    answers: Counter[str] = field(default_factory=Counter[str])
    """Of every request: its status, or what became of the connection."""
    wrong: list[str] = field(default_factory=list[str])
    """Answers that nobody should ever get."""

    async def more(self, orders: int, seconds: float = 60) -> None:
        """Wait until so many more were accepted."""
        goal = len(self.accepted) + orders

        async def reached() -> bool:
            return len(self.accepted) >= goal

        await until(reached, seconds)


@asynccontextmanager
async def under_load(
    system: Composed, expected: Expected, customers: int = CUSTOMERS, pause: float = PAUSE
) -> AsyncGenerator[Load]:
    """Have customers order until the block ends; each then finishes the order that it is at.

    No answer but acceptance and 503 may have been given; what was accepted is expected to end.
    """
    load, over = Load(), asyncio.Event()
    wishes = cycle([wanted for wanted in mixed(500, SEED) if wanted.cancel_after is None])

    async def customer() -> None:
        async with httpx2.AsyncClient(timeout=15, headers=system.authorization) as http:
            while not over.is_set():
                await order(http, system, next(wishes), load)
                await asyncio.sleep(pause)

    async with asyncio.TaskGroup() as all_of_them:
        for _ in range(customers):
            all_of_them.create_task(customer())
        try:
            yield load
        finally:
            over.set()
    expected.endings |= load.accepted
    assert not load.wrong, load.wrong


async def order(http: httpx2.AsyncClient, system: Composed, wanted: Wish, load: Load) -> None:
    """Order, again and again under one key, here and there, until it is accepted: as a good client does."""
    headers = {"Idempotency-Key": str(uuid4())}
    for address in _addresses(system):
        try:
            answer = await http.post(f"{address}/orders", json=wanted.body, headers=headers)
        except httpx2.TransportError as failure:
            load.answers[type(failure).__name__] += 1
            await asyncio.sleep(0.1)
            continue
        load.answers[str(answer.status_code)] += 1
        if answer.is_success:
            load.accepted[str(answer.json()["order_id"])] = wanted.ending
            return
        if answer.status_code != 503:
            load.wrong.append(f"{answer.status_code}: {answer.text}")
            return
        await asyncio.sleep(0.1)


def _addresses(system: Composed) -> Iterator[str]:
    """Every port at which an order API may answer, over and over."""
    return cycle(system.apis)
