"""The database, as requests use it: away is away, and no answer is late."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.database import Database, DatabaseUnavailable, is_unavailable
from messaging.limits import TimeLimit

T = TypeVar("T")

DEADLINE = TimeLimit(4.5)
"""The time in which a request has its answer, whatever became of the database."""

_abandoned: set[asyncio.Task[Any]] = set()
"""Work that nobody waits for any more; kept here until it has ended."""


@asynccontextmanager
async def reading(database: Database) -> AsyncGenerator[AsyncSession]:
    """Open a session. Raises DatabaseUnavailable when the database is away."""
    try:
        async with database.session() as session:
            yield session
    except Exception as error:
        if is_unavailable(error):
            raise DatabaseUnavailable(type(error).__name__) from error
        raise


@asynccontextmanager
async def snapshot(database: Database) -> AsyncGenerator[AsyncSession]:
    """Open a session whose statements all see the same moment: a row, and the facts that its status follows from.

    Raises DatabaseUnavailable when the database is away.
    """
    async with reading(database) as db:
        await db.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield db


async def answered(work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns. Raises what it raises, or DatabaseUnavailable when it takes longer than DEADLINE.

    `asyncio.timeout` would not do: it waits for the cancelled work, which for seconds may try to tell a database that
    does not answer to stop. Here this goes on behind the answer.
    """
    loop = asyncio.get_running_loop()
    task, over = loop.create_task(work), loop.create_future()
    deadline = DEADLINE.start(partial(_end, over))
    task.add_done_callback(partial(_end, over))
    try:
        await over
    except asyncio.CancelledError:
        _abandon(task)
        raise
    finally:
        deadline.over()
    if not task.done():
        _abandon(task)
        raise DatabaseUnavailable(f"no answer within {DEADLINE.seconds} s")
    return task.result()


def _end(over: asyncio.Future[None], _: object = None) -> None:
    if not over.done():
        over.set_result(None)


def _abandon(task: asyncio.Task[Any]) -> None:
    _abandoned.add(task)
    task.add_done_callback(_forget)
    task.cancel()


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # an error that comes after the answer is of no more interest
