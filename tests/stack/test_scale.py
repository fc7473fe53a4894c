"""Several replicas of every service."""

import time
from collections.abc import Awaitable, Callable

import httpx2
import pytest

from tests.e2e.conftest import Expected
from tests.invariants.checker import Checker
from tests.invariants.design import WORK_QUEUES
from tests.stack.load import under_load
from tests.stack.system import Composed

pytestmark = pytest.mark.stack("compose")

REPLICAS = {"order_api": 3, "payment": 3, "inventory": 2, "shipping": 2, "operations": 2}
CUSTOMERS = 16
ORDERS = 250


async def test_replicas_of_every_service_share_the_work(
    system: Composed,
    checker: Checker,
    expected: Expected,
    *,
    all_is_well: Callable[[], Awaitable[None]],
    tell: Callable[[str], None],
) -> None:
    """Two or three of each take orders and finish them, all at once; each effect is there once, and each API works."""
    alone = await throughput(system, checker, expected)
    await system.scale(REPLICAS)
    queues = await checker.broker.read()
    assert {name: queues[name].consumers for name in WORK_QUEUES} == {
        name: REPLICAS[name.partition(".")[0]] for name in WORK_QUEUES
    }
    shared = await throughput(system, checker, expected)
    async with httpx2.AsyncClient(headers=system.authorization) as http:
        statuses = [(await http.get(f"{api}/products")).status_code for api in system.apis]
    assert statuses == [200] * REPLICAS["order_api"]
    await all_is_well()
    await system.scale(dict.fromkeys(REPLICAS, 1))
    await all_is_well()
    tell(f"{ORDERS} orders to their end: {alone:.0f} a second with one of each service, {shared:.0f} with {REPLICAS}")


async def throughput(system: Composed, checker: Checker, expected: Expected) -> float:
    """Orders per second, from the first that is placed to the end of the last."""
    begins = time.monotonic()
    async with under_load(system, expected, CUSTOMERS, pause=0) as load:
        await load.more(ORDERS)
    await checker.drain()
    return len(load.accepted) / (time.monotonic() - begins)
