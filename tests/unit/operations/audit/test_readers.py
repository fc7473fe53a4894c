"""`python -m messaging readers`: a role that may read, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from messaging.__main__ import app
from messaging.roles import as_role, scram

pytestmark = pytest.mark.database

Clone = Callable[[str], Awaitable[str]]
Run = Callable[..., Awaitable[str]]
ROLE, PASSWORD = "watching", "first-password"


@pytest.fixture
async def url(clone_database: Clone) -> str:
    """A service's database."""
    return await clone_database("payment")


@pytest.fixture
def run(url: str) -> Run:
    """Run the job; returns what it says, of whatever kind its end is."""

    async def run(password: str | None = PASSWORD, role: str = ROLE, database: str = url) -> str:
        environment = {"PAYMENT_DATABASE_URL": database, "READER_PASSWORD": password}
        arguments = ["readers", "payment", "--role", role]
        done = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)
        return f"{done.exit_code}: {done.output}"

    return run


async def ask(url: str, statement: str, role: str = ROLE, password: str = PASSWORD) -> Any:
    """Ask the database as the role."""
    connection: Any = await asyncpg.connect(as_role(url, password, role))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def change(url: str, statement: str) -> None:
    """Change the database as its owner."""
    connection: Any = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_role_reads_what_is_there_and_what_will_be(url: str, run: Run) -> None:
    """It may read every table, those of later migrations included; running the job again changes nothing."""
    assert await run() == "0: payment: watching may read\n"
    assert await run() == "0: payment: watching may read\n"
    await change(url, "CREATE TABLE later AS SELECT 7 AS n")
    assert await ask(url, "SELECT count(*) FROM payments") == 0
    assert await ask(url, "SELECT n FROM later") == 7


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO payments (order_id, state) VALUES (gen_random_uuid(), 'new')",
        "UPDATE payments SET state = 'voided'",
        "DELETE FROM outbox",
        "TRUNCATE inbox",
        "CREATE TABLE mine ()",
        "SELECT * FROM payments FOR UPDATE",
        "CREATE ROLE another",
    ],
)
async def test_the_role_changes_and_locks_nothing(url: str, run: Run, statement: str) -> None:
    """Whatever would change or lock a row, a table or a role is refused."""
    await run()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(url, statement)


async def test_a_new_password_takes_the_place_of_the_old(url: str, run: Run) -> None:
    """The job sets the password that it is given."""
    await run()
    await run("second-password")
    assert await ask(url, "SELECT 1", password="second-password") == 1
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(url, "SELECT 1")


async def test_a_role_that_somebody_else_made_is_granted_reading(url: str, run: Run) -> None:
    """Without a password the role must be there; its password stays, and the job needs no right to make roles."""
    await change(url, "DROP ROLE IF EXISTS made_by_hand; CREATE ROLE made_by_hand LOGIN PASSWORD 'theirs'")
    assert await run(None, "made_by_hand") == "0: payment: made_by_hand may read\n"
    assert await ask(url, "SELECT count(*) FROM payments", "made_by_hand", "theirs") == 0


async def test_a_missing_role_needs_a_password(run: Run) -> None:
    """Without a password no role is made, and the error says the way out."""
    said = await run(None, "nobody_made_it")
    assert said.startswith("2: ")
    assert "READER_PASSWORD" in said


async def test_who_may_not_make_roles_is_told_what_to_do(url: str, run: Run) -> None:
    """A database's user that may not make roles is told how to go on, and nothing is half done that matters."""
    await change(url, "DROP ROLE IF EXISTS modest; CREATE ROLE modest LOGIN PASSWORD 'modest'")
    said = await run(PASSWORD, "not_there_yet", as_role(url, "modest", "modest"))
    assert said.startswith("1: ")
    assert "CREATE ROLE not_there_yet LOGIN" in said


async def test_an_absent_database_is_said_to_be_absent(run: Run) -> None:
    """A database that does not answer is an error that names the service."""
    said = await run(database="postgresql://owner@127.0.0.1:1/payment")
    assert said.startswith("1: payment: its database does not answer")


def test_a_password_that_would_need_normalizing_is_refused() -> None:
    """Only printable ASCII is hashed as every client hashes it."""
    with pytest.raises(ValueError, match="ASCII"):
        scram("pässword")
