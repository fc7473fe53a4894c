"""What crashes in the composed system comes back by itself, and takes nothing with it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.e2e.conftest import Expected
from tests.stack.docker import Container, wait_until
from tests.stack.load import under_load
from tests.stack.system import Composed

pytestmark = pytest.mark.stack("compose")

VICTIMS = ("order_api", "payment", "operations", "rabbitmq", "payment_db")
ORDERS = 15
"""Accepted after one crash and before the next."""


async def test_whatever_crashes_comes_back(
    system: Composed, expected: Expected, all_is_well: Callable[[], Awaitable[None]]
) -> None:
    """Services, the broker and a database are killed amid orders: each is healthy again, and every order ends."""
    async with under_load(system, expected) as load:
        for victim in VICTIMS:
            await load.more(ORDERS)
            await asyncio.to_thread(crash, system.project.container(victim))
        await load.more(ORDERS)
    await all_is_well()


def crash(container: Container) -> None:
    """Kill it from outside, and return once it is healthy again."""
    before = container.restarts
    container.crash()
    wait_until(lambda: container.restarts > before, f"{container.name} is started again", seconds=30)
    container.wait_healthy()
