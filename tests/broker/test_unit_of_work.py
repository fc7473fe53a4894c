"""One message, one effect, on a real broker and a real database."""

import time
from itertools import pairwise

from pydantic import SecretStr
from sqlmodel import func, select
from structlog.testing import capture_logs

from contracts import OrderCreated
from messaging.database import Database
from messaging.logs import add_subject
from messaging.outcome import Reject, Wait
from messaging.retry import RetryPolicy
from messaging.service import Service
from messaging.settings import ServiceSettings
from messaging.topology import milliseconds
from tests.broker.conftest import TIERS
from tests.broker.probe import Passing, Probe, Tally, orders
from tests.broker.rabbit import Broker, consuming, until


def service_of(probe: Probe, broker: Broker, database: Database, **overrides: object) -> Service:
    """The probe's service on this broker and database."""
    given = {"amqp_url": SecretStr(broker.url), "database_url": SecretStr(database.url), "retry_tiers": TIERS}
    return probe.build(ServiceSettings.model_validate({**given, **overrides}))


async def counted(database: Database) -> tuple[int, int]:
    """How many orders were counted, and how often in all."""
    async with database.session() as db:
        rows = select(func.count(), func.coalesce(func.sum(Tally.count), 0)).where(Tally.count > 0)
        orders_counted, times = (await db.exec(rows)).one()
    return orders_counted, times


async def test_a_message_is_applied_and_answered(broker: Broker, probe_database: Database) -> None:
    """A message changes the database, its answer reaches the broker, and its queue is empty afterwards."""
    probe = Probe()
    async with consuming(service_of(probe, broker, probe_database)):
        await broker.publish(*orders(1))
        answer = await broker.take("orders.unrouted")
    assert answer.type == "payment.authorized.v1"
    assert answer.app_id == "probe"
    assert answer.correlation_id == str(orders(1)[0].order_id)
    assert answer.headers["x-causation-id"] == str(orders(1)[0].event_id)
    assert await counted(probe_database) == (1, 1)
    assert await broker.depth("probe.order.created") == 0


async def test_a_duplicate_changes_nothing(broker: Broker, probe_database: Database) -> None:
    """The same messages three times have one effect each."""
    probe = Probe()
    async with consuming(service_of(probe, broker, probe_database)):
        await broker.publish(*orders(20), *orders(20), *orders(20))
        await until(lambda: _empty(broker, probe_database, 20))
    assert await counted(probe_database) == (20, 20)


async def test_one_failure_in_a_group_fails_alone(broker: Broker, probe_database: Database) -> None:
    """Of fifty messages that were ready together, the one that cannot be handled is parked; the others count once."""
    probe = Probe()
    fifty = orders(50)
    bad = fifty[25].order_id
    probe.failures[bad] = [Reject("it is the wrong one")]
    probe.forever.add(bad)
    await broker.publish(*fifty)
    async with consuming(service_of(probe, broker, probe_database)):
        parked = await broker.take("probe.order.created.dlq")
        await until(lambda: _empty(broker, probe_database, 49))
    assert parked.message_id == str(fifty[25].event_id)
    assert parked.headers["x-error-reason"] == "it is the wrong one"
    assert await counted(probe_database) == (49, 49)


async def test_a_passing_failure_goes_through_the_tiers(broker: Broker, probe_database: Database) -> None:
    """A message that fails twice waits in two tiers, comes back to its own queue and is applied once."""
    probe = Probe()
    probe.failures[orders(1)[0].order_id] = [Passing("no answer"), Passing("no answer")]
    async with consuming(service_of(probe, broker, probe_database)):
        await broker.publish(*orders(1))
        await until(lambda: _empty(broker, probe_database, 1))
    assert len(probe.handled) == 3
    assert await counted(probe_database) == (1, 1)


async def test_a_compensation_is_tried_for_ever_and_says_so(broker: Broker, probe_database: Database) -> None:
    """A message that must not be given up stays in the last tier, is counted and alarmed, and ends well at last."""
    probe, attempts = Probe(), len(TIERS) + 3
    probe.failures[orders(1)[0].order_id] = [Passing("no answer")] * attempts
    given = {"amqp_url": SecretStr(broker.url), "database_url": SecretStr(probe_database.url), "retry_tiers": TIERS}
    service = probe.build(ServiceSettings.model_validate(given), RetryPolicy(never_park=True))
    async with consuming(service):
        with capture_logs([add_subject]) as logs:
            await broker.publish(*orders(1))
            await until(lambda: _empty(broker, probe_database, 1))
    waits = [(entry["log_level"], entry["attempt"], entry["delay"]) for entry in logs if "delay" in entry]
    assert waits == [
        *(("warning", number, tier) for number, tier in enumerate(TIERS, start=1)),
        *(("error", number, TIERS[-1]) for number in range(len(TIERS) + 1, attempts + 1)),
    ]
    assert await broker.depth("probe.order.created.dlq") == 0


async def test_every_tier_gives_back_in_time(broker: Broker, probe_database: Database) -> None:
    """A message waits in each tier as long as the tier's name says, and comes back to its own queue."""
    probe, seen = Probe(), list[float]()
    probe.failures[orders(1)[0].order_id] = [Passing("no answer")] * len(TIERS)

    async def remember(_: OrderCreated) -> None:
        seen.append(time.monotonic())

    probe.before = remember
    async with consuming(service_of(probe, broker, probe_database)):
        await broker.publish(*orders(1))
        await until(lambda: _empty(broker, probe_database, 1))
    waited = [later - earlier for earlier, later in pairwise(seen)]
    assert len(waited) == len(TIERS)
    for tier, seconds in zip(TIERS, waited, strict=True):
        assert seconds >= milliseconds(tier) / 1000


async def test_attempts_exhausted_are_parked_with_their_history(broker: Broker, probe_database: Database) -> None:
    """A message that never succeeds is parked after its last tier, saying how often, since when and why."""
    probe = Probe()
    order_id = orders(1)[0].order_id
    probe.failures[order_id] = [Passing("the gateway is down")]
    probe.forever.add(order_id)
    async with consuming(service_of(probe, broker, probe_database)):
        await broker.publish(*orders(1))
        parked = await broker.take("probe.order.created.dlq")
    assert len(probe.handled) == len(TIERS) + 1
    assert parked.headers["x-attempt"] == len(TIERS) + 1
    assert parked.headers["x-error-class"] == "Passing"
    assert parked.headers["x-error-reason"] == "the gateway is down"
    assert "x-first-failure" in parked.headers
    assert not [name for name in parked.headers if name.startswith("x-death")]
    assert await counted(probe_database) == (0, 0)


async def test_a_message_is_held_while_its_remote_end_is_away(broker: Broker, probe_database: Database) -> None:
    """While a circuit breaker is open its messages wait where they are, and no attempt is counted."""
    probe, asked = Probe(), 0

    async def closed_after_a_while(_: OrderCreated) -> None:
        nonlocal asked
        asked += 1
        if asked <= 20:
            raise Wait("the breaker is open", seconds=0.05)

    probe.before = closed_after_a_while
    async with consuming(service_of(probe, broker, probe_database)):
        await broker.publish(*orders(5))
        await until(lambda: _empty(broker, probe_database, 5))
        answers = [await broker.take("orders.unrouted") for _ in range(5)]
    assert len(probe.handled) == 5
    assert await counted(probe_database) == (5, 5)
    assert not any("x-attempt" in answer.headers for answer in answers)
    assert await broker.depth("probe.order.created.dlq") == 0


async def _empty(broker: Broker, database: Database, wanted: int) -> bool:
    """Whether that many orders were counted and the queue holds nothing."""
    return (await counted(database))[0] >= wanted and await broker.depth("probe.order.created") == 0
