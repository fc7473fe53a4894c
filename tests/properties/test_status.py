"""An order's status follows from the set of its facts, on real rows, however the facts come in."""

import random
from collections.abc import Awaitable, Callable

import hypothesis
import pytest
import pytest_asyncio
from faststream.rabbit import TestRabbitBroker
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from contracts import OrderCreated
from messaging.service import Service
from messaging.testing import envelope
from order_api.app import build
from order_api.domain import settled, status_of
from order_api.settings import Settings
from tests.unit.order_api.orders import fact, load, store

pytestmark = pytest.mark.database

FACTS = sorted(queue.removeprefix("order_api.") for queue in build(Settings()).routes if ".stock." not in queue)


@pytest_asyncio.fixture
async def service(run_in_memory: Callable[..., Awaitable[Service]]) -> Service:
    """The order API on a database of its own."""
    return await run_in_memory(build, Settings)


@hypothesis.settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # every example has orders of its own
)
@given(facts=st.sets(st.sampled_from(FACTS), min_size=1), chance=st.randoms(use_true_random=False))
async def test_neither_order_nor_repetition_of_facts_matters(
    service: Service, facts: set[str], chance: random.Random
) -> None:
    """Two orders that hear the same facts, shuffled and repeated each in its own way, stand alike: as the set says."""
    reasons: list[str | None] = []
    for order_id in await store(service, 2):
        events = [fact(name, order_id) for name in facts]
        again = chance.choices(events, k=3)
        told = [*((event, 0) for event in events + again), *((event, 1) for event in again)]
        chance.shuffle(told)
        async with TestRabbitBroker(service.broker) as br:
            for event, redrive in told:  # the inbox stops a repeat, a re-driven one meets the row
                await br.publish(event, **envelope(event, redrive))
        order = await load(service, order_id)
        assert (order.status, order.settled) == (status_of(facts), settled(facts))
        assert order.known.keys() == {OrderCreated.name, *facts}
        reasons.append(order.reason)
    assert reasons[0] == reasons[1]
