"""What is counted where a real broker is needed: tiers, dead letters, confirms, absences."""

import asyncio

import pytest

from messaging import metrics
from messaging.database import Database
from messaging.metrics import Metrics
from messaging.outcome import Reject
from messaging.service import Service
from tests.broker.probe import Passing, Probe, orders
from tests.broker.rabbit import Broker, consuming, one, until
from tests.broker.test_unit_of_work import service_of

QUEUE = "probe.order.created"
SAID = "payment.authorized"
UNSENT = "SELECT count(*) FROM outbox WHERE sent_at IS NULL"


def number(service: Service, name: str, **labels: str) -> float:
    """A series of the service; it is there from the start."""
    found = service.metrics.registry.get_sample_value(name, labels)
    assert found is not None, name
    return found


def handled(service: Service) -> dict[str, float]:
    """How many messages had which outcome."""
    outcomes = ("applied", "duplicate", "retried", "parked", "returned")
    return {each: number(service, "orders_handled_total", queue=QUEUE, outcome=each) for each in outcomes}


async def test_every_outcome_is_counted(broker: Broker, probe_database: Database) -> None:
    """Ten messages, one of which is tried again, one sent twice and one parked: each number is right."""
    probe, ten = Probe(), orders(10)
    probe.failures[ten[3].order_id] = [Passing("no answer")]
    probe.failures[ten[5].order_id] = [Reject("it is the wrong one")]
    probe.forever.add(ten[5].order_id)
    service = service_of(probe, broker, probe_database)
    wanted = {"applied": 9, "duplicate": 1, "retried": 1, "parked": 1, "returned": 0}

    async def counted() -> bool:
        return handled(service) == wanted and number(service, "orders_in_progress") == 0

    async def retried() -> bool:
        return handled(service)["retried"] == 1

    async def marked() -> bool:
        return handled(service)["applied"] == 9 and await one(probe_database, UNSENT) == 0

    async with consuming(service):
        assert number(service, "orders_broker_up") == 1
        await broker.publish(ten[3])  # alone: in a group it would fail, and then not fail alone
        await until(retried)
        await broker.publish(*ten[:3], *ten[4:])
        await broker.take(f"{QUEUE}.dlq")
        await until(marked)  # what is said to be sent is not sent again with a second copy
        await broker.publish(ten[0])
        await until(counted)
        assert number(service, "orders_handling_seconds_count", queue=QUEUE) == 12
        assert number(service, "orders_age_seconds_count", queue=QUEUE) == 9
        assert number(service, "orders_published_total", event=SAID) == 9
        assert number(service, "orders_unconfirmed_total", event=SAID) == 0
    assert number(service, "orders_broker_up") == 0


async def test_what_is_not_confirmed_is_counted(broker: Broker, probe_database: Database) -> None:
    """An event that the broker takes too long to confirm counts as unconfirmed, not as published, until it is sent."""
    service = service_of(Probe(), broker, probe_database, publish_timeout=1e-6, shutdown_timeout=0.1)

    async def tried() -> bool:
        return number(service, "orders_unconfirmed_total", event=SAID) > 0

    async with consuming(service):
        await broker.publish(*orders(1))
        await until(tried)
        assert number(service, "orders_published_total", event=SAID) == 0


async def test_absences_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds without broker or database add up while they last, and only then."""
    monkeypatch.setattr(metrics, "TICK", 0.01)
    connected, away = True, True
    made = Metrics(Database("", name="probe"), lambda: connected, lambda: 0)

    def seconds(what: str) -> float:
        return made.registry.get_sample_value(f"orders_{what}_away_seconds_total") or 0.0

    watching = asyncio.create_task(made.watch(lambda: away))

    async def more(what: str, than: float) -> bool:
        return seconds(what) > than

    await until(lambda: more("database", 0.05))
    assert seconds("broker") == 0
    connected, away = False, False
    await until(lambda: more("broker", 0))
    before = seconds("database")
    await until(lambda: more("broker", 0.05))
    assert seconds("database") == before
    watching.cancel()
