"""Nodes of a cluster are lost under load, each while it leads every queue: accepted orders end, and invariants hold.

Some orders of the load fail on their way for passing reasons, so messages wait in retry tiers whenever a node is lost.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests.cluster.cluster import NODES, Cluster, restarts
from tests.cluster.measured import Load, ended, figures, now
from tests.invariants.checker import Checker, NotDrained
from tests.invariants.expectations import Ending, Violation
from tests.invariants.queues import is_tier

pytestmark = [pytest.mark.stack("cluster"), pytest.mark.timeout(900)]

BEFORE, AFTER = 8.0, 10.0
"""Seconds of load before a fault, and after its end."""
LASTS = 30.0
SETTLED = 30.0
FIRST, SECOND, THIRD = NODES


@dataclass(frozen=True)
class Fault:
    """Something that befalls the first node, or more, and its end."""

    name: str
    falls: Callable[[Cluster], None]
    ends: Callable[[Cluster], None]
    gap: float
    """Seconds in which the order API publishes again, at most; generous, as machines differ."""
    loses_acknowledgements: bool = False
    """Whether RabbitMQ may lose some, so that the node must be restarted by hand (docs/howto/run-a-cluster.md)."""


FAULTS = [
    Fault("a node is killed", lambda c: c.kill(FIRST), lambda c: c.start(FIRST), gap=20),
    Fault("a node is frozen", lambda c: c.freeze(FIRST), lambda c: c.thaw(FIRST), 45, loses_acknowledgements=True),
    Fault("a node is cut off", lambda c: c.cut(FIRST), lambda c: c.heal(FIRST), gap=45),
    Fault("two nodes are killed", lambda c: c.kill(FIRST, SECOND), lambda c: c.start(FIRST, SECOND), gap=120),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
async def test_every_accepted_order_ends(cluster: Cluster, tell: Callable[[str], None], fault: Fault) -> None:
    """The API takes orders throughout, each ends as it should, no service is restarted, the cluster is whole again."""
    await asyncio.to_thread(cluster.wait_whole)
    await asyncio.to_thread(cluster.gather_leaders, FIRST)
    before = restarts(cluster.services)
    load, enough, began = Load(cluster.apis, cluster.client_key), asyncio.Event(), now()
    loading = asyncio.create_task(load.run(enough))
    await asyncio.sleep(BEFORE)
    await asyncio.to_thread(fault.falls, cluster)
    fell = now()
    await asyncio.sleep(LASTS)
    await asyncio.to_thread(fault.ends, cluster)
    rose = now()
    await asyncio.sleep(AFTER)
    enough.set()
    await loading

    await ended(cluster.databases["order_api"], load.accepted)  # by itself, whatever becomes of the cluster
    await asyncio.to_thread(cluster.wait_whole)
    checker = cluster.checker(THIRD)
    lost = await _given_back(cluster, checker) if fault.loses_acknowledgements else ""
    await checker.drain(120)
    measured = await figures(fault.name, cluster.databases["order_api"], began, fell, rose)
    tell(f"{measured}{lost}")
    assert await _violations(checker, load.accepted) == []
    assert load.refused == []
    assert len(load.accepted) == load.placed
    assert restarts(cluster.services) == before
    assert measured.publish_gap < fault.gap
    assert {queue["name"]: queue["consumers"] for queue in await checker.broker.statistics()} == {
        name: 0 if is_tier(name) else len(cluster.apis) for name in cluster.leaders(THIRD)
    }


async def _given_back(cluster: Cluster, checker: Checker) -> str:
    """Have acknowledgements that RabbitMQ lost made good (docs/howto/run-a-cluster.md); returns what was needed."""
    try:
        await checker.drain(30)
    except NotDrained as held:
        await asyncio.to_thread(cluster.restart, FIRST)
        await asyncio.to_thread(cluster.wait_whole)
        return f"; node restarted, as acknowledgements were lost: {held}"
    return "; no acknowledgement lost"


async def _violations(checker: Checker, expected: Mapping[str, Ending]) -> Sequence[Violation]:
    """Those that stay. A broker that cannot ask a queue's leader in time says that it has no messages, or consumers."""
    ends = time.monotonic() + SETTLED
    while (found := await checker.violations(expected)) and time.monotonic() < ends:  # noqa: ASYNC110 - no event
        await asyncio.sleep(1)
    return found


async def test_a_node_is_replaced(cluster: Cluster) -> None:
    """A node whose data is lost is forgotten, and a new one takes its place in every queue, while orders are placed."""
    load, enough = Load(cluster.apis, cluster.client_key), asyncio.Event()
    loading = asyncio.create_task(load.run(enough))
    await asyncio.to_thread(cluster.replace, THIRD)
    enough.set()
    await loading
    await ended(cluster.databases["order_api"], load.accepted)
    await asyncio.to_thread(cluster.wait_whole)
    assert set(cluster.leaders(FIRST).values()) == set(NODES)
    assert load.refused == []
    checker = cluster.checker(THIRD)
    await checker.drain(120)
    assert await _violations(checker, load.accepted) == []
