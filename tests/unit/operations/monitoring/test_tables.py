"""What the services' databases say: orders by status, latencies, outboxes. Nothing is ever changed there."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import text

from messaging.database import Database
from operations import custody
from operations.monitoring import metrics
from operations.monitoring.metrics import Metric, Sample
from operations.monitoring.office import ControlRoom
from operations.monitoring.tables import FINAL, STATUSES, Orders, Outbox, ask
from order_api.domain import Status

MakeDatabase = Callable[[str], Awaitable[Database]]

CAUSES = [
    ("order.created", "payment.authorized"),
    ("payment.authorized", "inventory.reserved"),
    ("inventory.reserved", "shipping.ready"),
]
_ORDER = text(
    """
    INSERT INTO orders (order_id, state, client_id, customer_id, currency, total, items, created_at, updated_at,
        redrives, next_deadline)
    VALUES (:id, :state, 'shop', 'c-1', 'EUR', 100, '[]', now() - CAST(:age AS float) * interval '1 second', now(),
        :redrives, now() + CAST(:due AS float) * interval '1 second')
    """
)
_FACT = text(
    """
    INSERT INTO facts (order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_before, status_after)
    SELECT order_id, :name, gen_random_uuid(), created_at + CAST(:after AS float) * interval '1 second',
        created_at + CAST(:after AS float) * interval '1 second', '{}', 'test', :before, :status
    FROM orders WHERE order_id = :id
    """
)


class Shop:
    """Orders, put there by SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._orders = 0

    async def order(
        self, state: str, *, age: float, took: float | None = None, redrives: int = 0, due: float | None = None
    ) -> None:
        """One order; `took` seconds until it was final, its steps in equal parts."""
        self._orders += 1
        order_id = UUID(int=self._orders, version=4)
        async with self._database.engine.begin() as db:
            await db.execute(_ORDER, {"id": order_id, "state": state, "age": age, "redrives": redrives, "due": due})
            steps = [("order.created", None, "pending", 0.0)]
            if took is not None:
                steps += [
                    ("payment.authorized", "pending", "authorized", took / 3),
                    ("inventory.reserved", "authorized", "reserved", took * 2 / 3),
                    ("shipping.ready", "reserved", state, took),
                ]
            for name, before, after_status, after in steps:
                given = {"id": order_id, "name": name, "before": before, "status": after_status, "after": after}
                await db.execute(_FACT, given)


def value(samples: list[Sample], metric: Metric, of: str | None = None) -> float:
    """The one sample's value."""
    [found] = [each for each in samples if each.metric == metric and each.of == of]
    return found.value


def observed(samples: list[Sample], metric: Metric, of: str | None = None) -> dict[float, int]:
    """A distribution's observations."""
    [found] = [each for each in samples if each.metric == metric and each.of == of]
    return dict(found.observed)


def test_statuses_are_those_of_the_order_api() -> None:
    """Monitoring may not import a service; it knows every status all the same, and which ones are final."""
    assert tuple(Status) == STATUSES
    assert tuple(status for status in Status if status.final) == FINAL


@pytest.mark.database
async def test_orders_are_counted_by_status(service_database: MakeDatabase) -> None:
    """Open ones of any age, settled ones of the window; overdue and re-driven ones by themselves."""
    database = await service_database("order_api")
    shop = Shop(database)
    await shop.order("pending", age=5, due=1_000)
    await shop.order("pending", age=90_000, due=-30, redrives=2)
    await shop.order("reserved", age=2_000, due=400, redrives=1)
    await shop.order("ready", age=60, took=1.0)
    await shop.order("rejected", age=90_000, took=1.0)
    samples = [*await Orders(database, CAUSES).read()]
    assert value(samples, metrics.ORDERS_OPEN, "pending") == 2
    assert value(samples, metrics.ORDERS_OPEN, "reserved") == 1
    assert value(samples, metrics.ORDERS_OPEN, "ready") == 0
    assert value(samples, metrics.ORDERS_SETTLED, "ready") == 1
    assert value(samples, metrics.ORDERS_SETTLED, "rejected") == 0
    assert value(samples, metrics.ORDERS_OVERDUE) == 1
    assert value(samples, metrics.ORDERS_REDRIVEN) == 2
    assert value(samples, metrics.ORDERS_OLDEST_OPEN) == pytest.approx(90_000, abs=30)


@pytest.mark.database
async def test_latencies_are_measured_to_two_digits(service_database: MakeDatabase) -> None:
    """End to end and step by step, for the orders of the window alone; the first final fact ends an order."""
    database = await service_database("order_api")
    shop = Shop(database)
    for took in (0.3, 0.3, 123.0):
        await shop.order("ready", age=300, took=took)
    await shop.order("ready", age=5_000, took=0.9)
    samples = [*await Orders(database, CAUSES).read()]
    assert observed(samples, metrics.END_TO_END_LATENCY) == {0.3: 2, 120.0: 1}
    for step in ("payment.authorized", "inventory.reserved", "shipping.ready"):
        assert observed(samples, metrics.STEP_LATENCY, step) == {0.1: 2, 41.0: 1}


@pytest.mark.database
async def test_an_order_is_late_whether_it_is_final_or_not(service_database: MakeDatabase) -> None:
    """Final in time, final too late, not final and old: one of three is in time; a young one is not judged yet."""
    database = await service_database("order_api")
    shop = Shop(database)
    await shop.order("ready", age=300, took=2.0)
    await shop.order("ready", age=300, took=60.0)
    await shop.order("pending", age=300, due=100)
    await shop.order("pending", age=1, due=100)
    samples = [*await Orders(database, CAUSES).read()]
    assert value(samples, metrics.ORDERS_ON_TIME) == pytest.approx(100 / 3)
    assert observed(samples, metrics.END_TO_END_LATENCY) == {2.0: 1, 60.0: 1}


@pytest.mark.database
async def test_without_orders_nothing_is_judged(service_database: MakeDatabase) -> None:
    """No percentage of nothing, and no latency; the counts are there, at zero."""
    samples = [*await Orders(await service_database("order_api"), CAUSES).read()]
    assert {each.metric for each in samples} == {
        metrics.ORDERS_OPEN,
        metrics.ORDERS_SETTLED,
        metrics.ORDERS_OVERDUE,
        metrics.ORDERS_REDRIVEN,
        metrics.ORDERS_OLDEST_OPEN,
    }
    assert {each.value for each in samples} == {0.0}


@pytest.mark.database
async def test_an_outbox_is_as_deep_and_as_old_as_it_is(service_database: MakeDatabase) -> None:
    """Unsent events and the age of the oldest; sent ones do not count."""
    database = await service_database("payment")
    async with database.engine.begin() as db:
        await db.execute(
            text(
                """
                INSERT INTO outbox (id, event_id, name, type, body, headers, redrive, created_at, due_at, sent_at)
                SELECT gen_random_uuid(), gen_random_uuid(), 'n', 't', '{}', '{}', 0,
                    now() - number * interval '100 seconds', now(), CASE number WHEN 3 THEN now() END
                FROM generate_series(1, 3) AS number
                """
            )
        )
    samples = [*await Outbox("payment", database).read()]
    assert value(samples, metrics.OUTBOX_BACKLOG, "payment") == 2
    assert value(samples, metrics.OUTBOX_OLDEST_AGE, "payment") == pytest.approx(200, abs=30)


@pytest.mark.database
async def test_a_question_can_change_nothing(service_database: MakeDatabase) -> None:
    """Even with a user that might: the transaction is read-only."""
    database = await service_database("payment")
    with pytest.raises(Exception, match="read-only transaction"):
        await ask(database, text("DELETE FROM outbox RETURNING id"))


@pytest.mark.database
async def test_what_waits_for_a_person_is_counted(service_database: MakeDatabase) -> None:
    """Dead letters by service, and violations; closed and cleared ones do not count."""
    database = await service_database("operations")
    async with database.engine.begin() as db:
        await db.execute(
            text(
                """
                INSERT INTO dead_letters (id, queue, identity, service, event, redrive, size, properties, headers,
                    error_class, reason, fingerprint, attempts, first_failed_at, last_failed_at, stored_at, closed_at,
                    state)
                SELECT gen_random_uuid(), 'q', number::text,
                    CASE number WHEN 4 THEN :nobody ELSE 'payment' END, 'e', 0, 2, '{}', '{}', 'E', 'r', 'f', 1, now(),
                    now(), now(), CASE number WHEN 3 THEN now() END, CASE number WHEN 3 THEN 'done' ELSE 'open' END
                FROM generate_series(1, 4) AS number
                """
            ),
            {"nobody": custody.NOBODY},
        )
    async with database.engine.begin() as db:
        await db.execute(
            text(
                """
                INSERT INTO violations (kind, subject, detail, first_seen, last_seen, cleared_at)
                SELECT 'stock_on_hand', number::text, 'd', now(), now(), CASE number WHEN 3 THEN now() END
                FROM generate_series(1, 3) AS number
                """
            )
        )
    samples = [*await ControlRoom(database, ["payment", "shipping"]).read()]
    assert value(samples, metrics.DEAD_LETTERS_OPEN, "payment") == 2
    assert value(samples, metrics.DEAD_LETTERS_OPEN, "shipping") == 0
    assert value(samples, metrics.DEAD_LETTERS_OPEN, custody.NOBODY) == 1
    assert value(samples, metrics.AUDIT_VIOLATIONS) == 2
