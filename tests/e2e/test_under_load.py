"""Hundreds of orders at once, with what happens to processes meanwhile. Afterwards money and stock add up."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from devstack.services import CONSUMERS
from tests.broker.rabbit import until
from tests.e2e.conftest import Expected
from tests.e2e.mix import SCARCE, SEED, mixed, place_all
from tests.e2e.shop import Shop
from tests.e2e.system import System
from tests.invariants.books import ask
from tests.invariants.checker import Checker
from tests.invariants.design import WORK_QUEUES

pytestmark = pytest.mark.e2e

COUNT, SHARED = 500, 300


async def orders_over(system: System) -> int:
    """How many orders are in a final state."""
    question = "SELECT count(*) AS orders FROM orders WHERE state IN ('ready', 'rejected', 'cancelled')"
    return int((await ask(system.wiring.databases["order_api"], question))[0][0]["orders"])


async def test_five_hundred_mixed_orders(
    system: System, shop: Shop, expected: Expected, all_is_well: Callable[[], Awaitable[None]]
) -> None:
    """500 mixed orders from 20 clients at once all end as they should; money and stock add up."""
    expected.endings |= await place_all(shop, mixed(COUNT, SEED), SEED)
    await all_is_well()
    scarce = f"SELECT initial, shipped FROM stock WHERE sku = '{SCARCE}'"  # noqa: S608 - a constant
    stock = (await ask(system.wiring.databases["inventory"], scarce))[0][0]
    assert stock["shipped"] == stock["initial"], "of what many want, the last piece is sold, and none twice"


@pytest.mark.slow
async def test_a_consumer_is_killed_meanwhile(
    system: System, shop: Shop, expected: Expected, all_is_well: Callable[[], Awaitable[None]]
) -> None:
    """A consumer is killed amid 500 orders and started again: every order ends, and every effect is there once."""
    victim = system.named(CONSUMERS[SEED % len(CONSUMERS)])
    before = await orders_over(system)
    placing = asyncio.create_task(place_all(shop, mixed(COUNT, SEED + 1), SEED))

    async def under_way() -> bool:
        return await orders_over(system) >= before + 50

    await until(under_way)
    victim.ask_to_end(signal.SIGKILL)
    assert victim.wait(seconds=5) == -signal.SIGKILL
    await system.restart(victim)
    expected.endings |= await placing
    await all_is_well()


async def test_two_replicas_of_each_consumer(
    system: System, shop: Shop, checker: Checker, expected: Expected, all_is_well: Callable[[], Awaitable[None]]
) -> None:
    """Two processes of each consumer share the queues of 300 orders; each effect is there once."""
    replicas = await system.start(CONSUMERS, replica="second")
    try:
        queues = await checker.broker.read()
        shared = {name: queues[name].consumers for name in WORK_QUEUES if name.startswith(CONSUMERS)}
        assert set(shared.values()) == {2}, shared
        expected.endings |= await place_all(shop, mixed(SHARED, SEED + 2), SEED)
        await checker.drain()
    finally:
        statuses = system.stop(replicas)
    assert statuses == dict.fromkeys(CONSUMERS, 0), "each replica stops in good order"
    await all_is_well()
