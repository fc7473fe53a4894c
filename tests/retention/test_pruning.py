"""What is forgotten after a while, what never is, and that a late repeat then finds all it needs."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import TextClause, text
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging import edge, inbox, outbox, relay
from messaging.database import Database
from messaging.relay import prune
from messaging.settings import ServiceSettings
from tests.broker.rabbit import until
from tests.machine.checks import problems
from tests.machine.processes import SERVICES
from tests.machine.world import KERNEL_TABLES, World
from tests.retention.shop import contents, dice, finish, place_all

pytestmark = pytest.mark.database

DAY = timedelta(days=1)
RETENTION = timedelta(days=ServiceSettings().retention_days)

_OLD_AND_NEW = """
    INSERT INTO inbox (event_id, queue, redrive, received_at)
        SELECT gen_random_uuid(), name, 0, now() - age FROM made;
    INSERT INTO suspects (event_id, queue, tries, noted_at)
        SELECT gen_random_uuid(), name, 1, now() - age FROM made;
    INSERT INTO outbox (id, event_id, name, type, body, headers, redrive, created_at, due_at, sent_at)
        SELECT gen_random_uuid(), gen_random_uuid(), name, 't', '{}', '{}', 0, now() - age, now(), now() - age
        FROM made;
    INSERT INTO outbox (id, event_id, name, type, body, headers, redrive, created_at, due_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 'unsent', 't', '{}', '{}', 0, now() - age, now() FROM made;
"""


@pytest_asyncio.fixture
async def filled(service_database: Callable[[str], Awaitable[Database]]) -> Database:
    """A service's database with ten rows of each kind from the day before the retention began, and two from after."""
    database = await service_database("payment")
    made = """CREATE TEMP TABLE made AS SELECT name, age
        FROM (VALUES ('old', CAST(:old AS interval)), ('new', CAST(:new AS interval))) v (name, age)"""
    async with database.engine.begin() as connection:
        await connection.execute(
            text(made + ", generate_series(1, CASE name WHEN 'old' THEN 10 ELSE 2 END)"),
            {"old": RETENTION + DAY, "new": RETENTION - DAY},
        )
        for statement in _OLD_AND_NEW.split(";")[:-1]:
            await connection.execute(text(statement))
    return database


@pytest.mark.parametrize(("statement", "index"), [(inbox.PRUNE, "inbox_received"), (outbox.PRUNE, "outbox_sent")])
async def test_pruning_reads_what_is_old_and_no_more(filled: Database, statement: TextClause, index: str) -> None:
    """However many rows are young, they are not looked at: an index leads to the old ones."""
    async with filled.engine.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))  # the tables of a test are too small to tell
        plan = await connection.scalars(text(f"EXPLAIN {statement.text}"), {"age": RETENTION, "most": 5_000})
        assert any(line.rstrip().partition("Scan on ")[2].startswith(index) for line in plan.all())


async def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    """Ask the database."""
    async with database.engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def pruned(database: Database, age: timedelta, monkeypatch: pytest.MonkeyPatch, *, batch: int = 5_000) -> int:
    """Let the service prune until it has found nothing more to prune; returns how many transactions that took."""
    commits = 0
    real = edge.commit

    async def commit(session: AsyncSession, step: edge.Step) -> None:
        nonlocal commits
        commits += step is edge.Step.PRUNE_COMMIT
        await real(session, step)

    resting = asyncio.Event()
    with monkeypatch.context() as patch:
        patch.setattr(edge, "commit", commit)
        patch.setattr(relay, "PRUNE_BATCH", batch)
        patch.setattr(relay, "asyncio", SimpleNamespace(sleep=_rest(resting)))
        worker = asyncio.create_task(prune(database, age))
        async with asyncio.timeout(20):
            await resting.wait()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    return commits


def _rest(resting: asyncio.Event) -> Callable[[float], Awaitable[None]]:
    async def sleep(_: float) -> None:
        resting.set()
        await asyncio.Event().wait()

    return sleep


async def counts(database: Database) -> list[tuple[Any, ...]]:
    """What the kernel's tables hold, by the age that it was given."""
    return await rows(
        database,
        """
        SELECT 'inbox', queue, count(*) FROM inbox GROUP BY 2
        UNION ALL SELECT 'suspects', queue, count(*) FROM suspects GROUP BY 2
        UNION ALL SELECT 'outbox', name, count(*) FROM outbox GROUP BY 2 ORDER BY 1, 2
        """,
    )


async def test_what_is_old_goes_what_is_unsent_stays(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the retention sent messages, inbox entries and suspects go; what is younger stays, and unsent, for ever."""
    assert len(await counts(filled)) == 7
    await pruned(filled, RETENTION, monkeypatch)
    assert await counts(filled) == [
        ("inbox", "new", 2),
        ("outbox", "new", 2),
        ("outbox", "unsent", 12),
        ("suspects", "new", 2),
    ]


async def test_it_goes_in_small_batches(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is old, no transaction deletes more than a batch: none is long, and each commits."""
    assert await pruned(filled, RETENTION, monkeypatch, batch=4) == 3 * len(["4", "4", "2"])
    assert ("outbox", "old", 10) not in await counts(filled)


async def test_two_that_prune_at_once_share_the_work(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas of a service prune side by side, and nothing fails."""
    other = Database(filled.url, name="payment")
    monkeypatch.setattr(relay, "PRUNE_BATCH", 1)
    workers = [asyncio.create_task(prune(database, RETENTION)) for database in (filled, other, filled)]

    async def shared() -> bool:
        return len(await counts(filled)) == 4

    await until(shared)
    assert not any(worker.done() for worker in workers)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await other.close()


async def test_orders_are_never_pruned(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However old it is, what a service knows of an order stays: pruning touches the kernel's own tables only."""
    await finish(world, await place_all(world, dice(1), 20))
    before = await contents(world)
    await prune_everything(world, monkeypatch)
    assert await contents(world) == before


async def prune_everything(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the retention be over for all that was said and heard."""
    for name in SERVICES:
        await pruned(world.nodes[name][0].service.database, timedelta(0), monkeypatch)
        for table in KERNEL_TABLES:
            assert await world.sql(name, f"SELECT FROM {table}") == []


@pytest.mark.parametrize("number", [1, 2])
async def test_a_replay_after_pruning_is_harmless(world: World, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Every message that ever was comes again, in any order and twice, and no inbox knows it: nothing changes.

    What the services say then they said before, word for word.
    """
    chance = dice(number)
    await finish(world, await place_all(world, chance, 20))
    before, said = await contents(world), await sayings(world)
    await prune_everything(world, monkeypatch)
    world.network.bag = 2 * world.network.history
    chance.shuffle(world.network.bag)
    await world.deliver_all()
    assert await contents(world) == before
    again = await sayings(world)
    assert again
    assert again <= said


@pytest.mark.parametrize("number", [1, 2])
async def test_a_re_drive_after_pruning_is_harmless(world: World, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Orders that ended long ago are said again, by hand: every service says what it said, and does nothing."""
    chance = dice(number)
    await finish(world, await place_all(world, chance, 20))
    before, said = await contents(world), await sayings(world)
    await prune_everything(world, monkeypatch)
    await world.redrive()
    await world.deliver_all()
    assert await contents(world) == before
    assert await sayings(world) <= said


async def test_a_replay_in_the_middle_is_harmless(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pruned and repeated while orders are on their way, they end as they would have, and the books add up."""
    chance = dice(3)
    placed = await place_all(world, chance, 30)
    waiting, world.network.bag = world.network.bag, 2 * world.network.history
    await prune_sent(world, monkeypatch)
    world.network.bag += waiting
    chance.shuffle(world.network.bag)
    await finish(world, placed)
    assert [
        each for each in await problems(world, placed) if "nobody said" not in each and "authorized, but" not in each
    ] == []


async def prune_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the retention be over for what was sent and heard; what was not sent stays."""
    for name in SERVICES:
        await pruned(world.nodes[name][0].service.database, timedelta(0), monkeypatch)


async def sayings(world: World) -> set[tuple[str, str]]:
    """What all services said: the names and the bodies."""
    found: set[tuple[str, str]] = set()
    for name in SERVICES:
        found |= {(row["name"], row["body"]) for row in await world.sql(name, "SELECT name, body FROM outbox")}
    return found
