"""The rules of the group unit of work, on a real database."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from types import SimpleNamespace

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs
from structlog.typing import EventDict

from contracts import Event, OrderCreated, PaymentAuthorized
from messaging import unit
from messaging.away import Away
from messaging.database import SERVER_SETTINGS, Database
from messaging.inbox import Key
from messaging.order_row import OrderRow
from messaging.outcome import Reject
from messaging.tracing import Tracing
from messaging.unit import LONGEST_GATHERING, GroupExecutor, Rules, Run, Work
from tests.broker.probe import Tally, orders
from tests.broker.rabbit import until
from tests.broker.test_unit_of_work import counted

QUEUE = "probe.order.created"


@pytest_asyncio.fixture
async def executor(probe_database: Database) -> AsyncGenerator[GroupExecutor]:
    """Groups of up to ten on the probe's tables."""
    rules = Rules(size=10, grace=timedelta(seconds=2), row=Tally)
    made = GroupExecutor(probe_database, rules, Away(), Tracing(), lambda _: None)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()


async def count(_: AsyncSession, row: OrderRow | None) -> Sequence[Event]:
    """Count the order and say so."""
    assert isinstance(row, Tally)
    row.count += 1
    order = OrderCreated.example()
    return [PaymentAuthorized.about(row.order_id, **said(order))]


def said(order: OrderCreated) -> dict[str, object]:
    """What an authorization tells of an order."""
    return {
        "payment_id": "pay_1",
        "amount": order.total,
        "items": order.items,
        "shipping_address": order.shipping_address,
    }


def work(event: OrderCreated, run: Run = count, *, alone: bool = False) -> Work:
    """The work that a message asks for."""
    key = Key(event.event_id, QUEUE, 0)
    return Work(key=key, run=run, event=event, order_id=event.order_id, creates_row=True, alone=alone)


async def transactions(database: Database) -> int:
    """How many transactions wrote the tallies that there are."""
    async with database.engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(DISTINCT xmin::text) FROM tallies"))).scalar_one())


async def test_what_is_ready_shares_a_transaction(executor: GroupExecutor, probe_database: Database) -> None:
    """Ten messages that wait together are one transaction; each gets what it said."""
    sent = await asyncio.gather(*(executor.submit(work(event)) for event in orders(10)))
    assert [[message.order_id for message in messages] for messages in sent] == [
        [event.order_id] for event in orders(10)
    ]
    assert await transactions(probe_database) == 1


async def test_work_that_has_ended_holds_nobody(executor: GroupExecutor) -> None:
    """Whoever was told of it keeps it, and would otherwise only be freed by the garbage collector."""
    asked, told = work(next(iter(orders(1)))), asyncio.Queue[Work]()
    executor.add(asked, told.put_nowait)
    assert await told.get() is asked
    assert asked.tell is None


async def test_a_second_copy_in_a_group_shares_the_fate_of_the_first(
    executor: GroupExecutor, probe_database: Database
) -> None:
    """The same id twice in one group is applied once, and neither copy is answered before the commit."""
    [event] = orders(1)
    first, second = await asyncio.gather(executor.submit(work(event)), executor.submit(work(event)))
    assert first == second
    assert len(first) == 1
    assert await counted(probe_database) == (1, 1)


async def test_a_repeat_is_told_what_is_still_unsent(executor: GroupExecutor, probe_database: Database) -> None:
    """A message applied earlier changes nothing; what it caused and nobody confirmed is handed out to be sent."""
    [event] = orders(1)
    before = await executor.submit(work(event))
    assert await executor.submit(work(event)) == before
    async with probe_database.engine.begin() as connection:
        await connection.execute(text("UPDATE outbox SET sent_at = now()"))
    assert await executor.submit(work(event)) == []
    assert await counted(probe_database) == (1, 1)


@pytest.mark.parametrize("gathering", [LONGEST_GATHERING, 0])
async def test_commands_gather_no_longer_than_a_turn(
    probe_database: Database, monkeypatch: pytest.MonkeyPatch, gathering: float
) -> None:
    """Deliveries wait for others as long as the last group took, which nobody notices; a customer would."""
    pauses, slept = list[float](), asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        slept.set()

    monkeypatch.setattr(unit, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": sleep}))
    rules = Rules(size=10, grace=timedelta(seconds=2), row=Tally)
    executor = GroupExecutor(probe_database, rules, Away(), Tracing(), lambda _: None, gathering=gathering)
    running = asyncio.create_task(executor.run())
    await executor.submit(work(next(iter(orders(1)))))
    await slept.wait()
    assert 0 < pauses[0] <= gathering if gathering else pauses == [0]
    running.cancel()


async def test_retried_and_redelivered_messages_stay_alone(executor: GroupExecutor, probe_database: Database) -> None:
    """What has failed before never shares a transaction with its neighbours."""
    works = [work(event, alone=number in {3, 4}) for number, event in enumerate(orders(8))]
    await asyncio.gather(*(executor.submit(each) for each in works))
    assert await transactions(probe_database) == 4
    assert await counted(probe_database) == (8, 8)


async def test_what_a_failed_attempt_changed_is_forgotten(executor: GroupExecutor, probe_database: Database) -> None:
    """After one of a group failed, the others run again on fresh rows: each order is counted once."""

    async def refuse(_: AsyncSession, row: OrderRow | None) -> Sequence[Event]:
        assert isinstance(row, Tally)
        row.count += 100
        raise Reject("no")

    events = orders(10)
    works = [work(event, refuse if number == 6 else count) for number, event in enumerate(events)]
    outcomes = await asyncio.gather(*(executor.submit(each) for each in works), return_exceptions=True)
    assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Reject)] == [6]
    assert await counted(probe_database) == (9, 9)


async def test_a_held_lock_burns_no_attempt(executor: GroupExecutor, probe_database: Database) -> None:
    """A row that somebody else holds longer than the lock timeout is waited for in place."""
    [event] = orders(1)
    await executor.submit(work(event))
    async with probe_database.engine.connect() as other:
        held = await other.begin()
        await other.execute(text("SELECT * FROM tallies FOR UPDATE"))
        again = Work(
            key=Key(event.event_id, QUEUE, 1), run=count, event=event, order_id=event.order_id, creates_row=True
        )
        with capture_logs() as logs:
            waiting = asyncio.create_task(executor.submit(again))
            await until(lambda: _gave_up_once(logs))
            await held.rollback()
    await waiting
    assert await counted(probe_database) == (1, 2)


async def test_any_other_isolation_is_refused(probe_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under REPEATABLE READ the row behind an ON CONFLICT DO NOTHING would be invisible: that is said at once."""
    monkeypatch.setitem(SERVER_SETTINGS, "default_transaction_isolation", "repeatable read")
    database = Database(probe_database.url, name="probe")
    with pytest.raises(RuntimeError, match="transaction isolation is 'repeatable read'"):
        await database.check()
    await database.close()


async def _gave_up_once(logs: list[EventDict]) -> bool:
    """Whether an attempt ended by the lock timeout."""
    return any(entry["event"] == "group waits for the database" for entry in logs)


async def test_a_group_that_is_cancelled_ends(probe_database: Database) -> None:
    """Also where its cancellation becomes another error, as of a connection that fails over it."""
    inside, runs = asyncio.Event(), 0

    async def fail_instead(_: AsyncSession, __: OrderRow | None) -> Sequence[Event]:
        nonlocal runs
        runs += 1
        inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("closed amid a statement") from None
        return ()

    rules = Rules(size=10, grace=timedelta(seconds=2), row=Tally)
    executor = GroupExecutor(probe_database, rules, Away(), Tracing(), lambda _: None)
    running = asyncio.create_task(executor.run())
    executor.add(work(next(iter(orders(1))), fail_instead), lambda _: None)
    await inside.wait()
    running.cancel()
    await asyncio.wait([running], timeout=5)
    assert (running.done(), runs) == (True, 1)
