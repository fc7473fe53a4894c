"""The ledger of a simulated remote end, on a real database."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
import pytest_asyncio

from devstack.threads import run_apart
from messaging.database import Database, is_unavailable
from messaging.ledger import Ledger
from payment.models import GatewayAccount
from tests.broker.rabbit import until
from tests.statements import statements_of

pytestmark = pytest.mark.database


@pytest_asyncio.fixture
async def database(service_database: Callable[[str], Awaitable[Database]]) -> Database:
    """Payment's database, fresh."""
    return await service_database("payment")


@pytest.fixture
def ledger(database: Database) -> Ledger[GatewayAccount, int]:
    """Make a ledger that answers with numbers."""
    return Ledger(database, GatewayAccount)


def count_up(account: GatewayAccount) -> int:
    """Add one, and answer the sum."""
    account.attempts += 1
    return account.attempts


def fail(_: GatewayAccount) -> int:
    """Decide nothing."""
    raise ZeroDivisionError


async def test_calls_under_one_key_happen_one_after_another(ledger: Ledger[GatewayAccount, int]) -> None:
    """No decision is lost, however many calls come at once."""
    answers = await asyncio.gather(*(ledger.settle("k", count_up) for _ in range(250)))
    assert sorted(answers) == list(range(1, 251))


async def test_two_processes_see_each_other(database: Database) -> None:
    """Ledgers of two processes that work on the same keys, in any order, count together."""
    one, other = (Ledger[GatewayAccount, int](database, GatewayAccount) for _ in range(2))
    keys = [f"key-{number}" for number in range(30)]
    for _ in range(3):
        await asyncio.gather(
            *(one.settle(key, count_up) for key in keys), *(other.settle(key, count_up) for key in reversed(keys))
        )
    assert [await one.settle(key, count_up) for key in keys] == [7] * 30


async def test_calls_that_come_together_are_stored_together(
    database: Database, ledger: Ledger[GatewayAccount, int]
) -> None:
    """A hundred calls at once cost one statement; one more that reads if somebody else has stored some of them."""
    other = Ledger[GatewayAccount, int](database, GatewayAccount)
    for number in range(10):
        await ledger.settle(f"key-{number}", count_up)
    statements = statements_of(database)
    await asyncio.gather(*(ledger.settle(f"key-{number}", count_up) for number in range(100)))
    assert [statement.split(maxsplit=1)[0] for statement in statements] == ["WITH"]
    await asyncio.gather(*(other.settle(f"key-{number}", count_up) for number in range(100)))
    assert [statement.split(maxsplit=1)[0] for statement in statements] == ["WITH", "WITH", "SELECT", "WITH"]


async def test_an_answer_is_never_that_of_memory(database: Database, ledger: Ledger[GatewayAccount, int]) -> None:
    """A decision that stores nothing, or fails, is made on the row as it is, whatever this process knew of it."""
    other = Ledger[GatewayAccount, int](database, GatewayAccount)
    await ledger.settle("k", count_up)
    await other.settle("k", count_up)
    assert await ledger.settle("k", lambda account: account.attempts) == 2

    def only_if_known(account: GatewayAccount) -> int:
        if not account.attempts:
            raise LookupError
        return count_up(account)

    await ledger.settle("new", count_up)
    assert await other.settle("new", only_if_known) == 2


async def test_memory_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that were stored longest ago are read when they are needed again."""
    monkeypatch.setattr("messaging.ledger.MOST_KEPT", 2)
    ledger = Ledger[GatewayAccount, int](database, GatewayAccount)
    for key in ("a", "b", "c"):
        await ledger.settle(key, count_up)
    statements = statements_of(database)
    assert [await ledger.settle(key, count_up) for key in ("c", "a")] == [2, 2]
    assert [statement.split(maxsplit=1)[0] for statement in statements] == ["WITH", "WITH", "SELECT", "WITH"]


@pytest.mark.parametrize("is_new", [True, False])
async def test_what_changed_meanwhile_is_decided_upon_again(
    database: Database, ledger: Ledger[GatewayAccount, int], *, is_new: bool
) -> None:
    """A decision on a row that somebody else has made, or changed, since it was read is not stored; the next one is."""
    if not is_new:
        await ledger.settle("k", count_up)
    seen: list[int] = []

    async def interfere() -> None:
        connection = await asyncpg.connect(database.url)
        await connection.execute(
            "INSERT INTO gateway_accounts (key, status, generation, attempts) VALUES ('k', 'unknown', 1, 10)"
            " ON CONFLICT (key) DO UPDATE SET attempts = gateway_accounts.attempts + 10"
        )
        await connection.close()

    def decide(account: GatewayAccount) -> int:
        seen.append(account.attempts)
        if len(seen) == 1:
            run_apart(interfere)
        return count_up(account)

    began = 0 if is_new else 1
    assert await ledger.settle("k", decide) == began + 11
    assert seen == [began, began + 10]


async def test_a_failing_call_fails_alone(ledger: Ledger[GatewayAccount, int]) -> None:
    """What one call raises reaches its caller; the calls beside it are answered, and counted once."""
    answers = await asyncio.gather(
        ledger.settle("a", count_up), ledger.settle("a", fail), ledger.settle("b", count_up), return_exceptions=True
    )
    assert [answers[0], answers[2]] == [1, 1]
    assert isinstance(answers[1], ZeroDivisionError)
    assert await ledger.settle("a", count_up) == 2


async def test_a_caller_that_gives_up_does_not_undo_the_decision(ledger: Ledger[GatewayAccount, int]) -> None:
    """As with a real remote end, hanging up takes nothing back."""
    deciding = asyncio.Event()

    def decide(account: GatewayAccount) -> int:
        deciding.set()
        return count_up(account)

    caller = asyncio.create_task(ledger.settle("k", decide))
    await deciding.wait()
    caller.cancel()
    assert await ledger.settle("k", count_up) == 2


async def test_no_plan_reads_a_whole_table(database: Database, ledger: Ledger[GatewayAccount, int]) -> None:
    """Statements find rows by key from the first row on: a plan is kept, and the table grows."""
    for number in range(20):  # the sixth time the driver's statement gets the plan that is kept
        await ledger.settle(f"key-{number}", count_up)
    await database.close()

    connection = await asyncpg.connect(database.url)

    async def told() -> asyncpg.Record | None:
        [found] = await connection.fetch("SELECT * FROM pg_stat_user_tables WHERE relname = 'gateway_accounts'")
        return found if found["n_tup_ins"] == 20 else None  # a connection tells what it did when it ends

    assert (await until(told))["seq_scan"] == 0
    await connection.close()


async def test_an_absent_database_is_named_to_every_caller() -> None:
    """While the database is away each call fails at once, for a reason that the service tells from its own faults."""
    database = Database("postgresql://nobody@127.0.0.1:1/nothing", name="payment")
    ledger = Ledger[GatewayAccount, int](database, GatewayAccount)
    answers = await asyncio.gather(*(ledger.settle("k", count_up) for _ in range(50)), return_exceptions=True)
    assert all(isinstance(answer, BaseException) and is_unavailable(answer) for answer in answers)
    await database.close()
