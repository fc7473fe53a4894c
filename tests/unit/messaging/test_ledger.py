"""The ledger of a simulated remote end, on a real database."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio

from messaging.database import Database, is_unavailable
from messaging.ledger import Ledger
from payment.models import GatewayAccount
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


async def test_calls_that_come_together_share_a_transaction(
    database: Database, ledger: Ledger[GatewayAccount, int]
) -> None:
    """A hundred calls at once cost one statement that locks, not a hundred."""
    statements = statements_of(database)
    await asyncio.gather(*(ledger.settle(f"key-{number}", count_up) for number in range(100)))
    assert [statement.split(maxsplit=1)[0] for statement in statements].count("INSERT") == 1


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


async def test_an_absent_database_is_named_to_every_caller() -> None:
    """While the database is away each call fails at once, for a reason that the service tells from its own faults."""
    database = Database("postgresql://nobody@127.0.0.1:1/nothing", name="payment")
    ledger = Ledger[GatewayAccount, int](database, GatewayAccount)
    answers = await asyncio.gather(*(ledger.settle("k", count_up) for _ in range(50)), return_exceptions=True)
    assert all(isinstance(answer, BaseException) and is_unavailable(answer) for answer in answers)
    await database.close()
