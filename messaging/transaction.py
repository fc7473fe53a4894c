"""Transactions as the driver has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.database import Database, is_unavailable

Driver = Any
"""asyncpg's connection: asyncpg has no types."""
DRIVER = "driver"
"""Under this name a transaction's session knows asyncpg's connection."""
BEGAN = "began"
"""Under this one, by the database's clock, when the transaction began, if that was told."""


def _driver_under(connection: AsyncConnection) -> Driver:
    """The connection as asyncpg has it."""
    return cast("Any", connection.sync_connection).connection.driver_connection


class Transaction:
    """A transaction as asyncpg has it, and a session for whoever prefers SQLAlchemy, which takes several times as long.

    What the session does is a savepoint of the transaction, and part of it once the transaction is committed.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self.driver = _driver_under(connection)
        self.session = AsyncSession(connection, expire_on_commit=False)
        self.session.info[DRIVER] = self.driver
        self._outer = self.driver.transaction()
        self._open = False

    async def begin(self) -> None:
        """Begin."""
        await self._outer.start()
        self._open = True

    async def commit(self) -> None:
        """Commit what the driver and the session did. Raises what the database raises: it may be committed then."""
        if self.session.in_transaction():
            await self.session.commit()
        self._open = False
        await self._outer.commit()

    async def end(self) -> None:
        """Roll back what was not committed."""
        if self.session.in_transaction():
            await self.session.close()
        if self._open and not self.driver.is_closed():
            await self._outer.rollback()


@asynccontextmanager
async def opened(database: Database) -> AsyncGenerator[Transaction]:
    """A transaction of its own; what was not committed is rolled back at the end."""
    async with database.engine.connect() as connection:
        transaction = Transaction(connection)
        try:
            async with _thrown_away_if_unsound(connection):
                await transaction.begin()
                yield transaction
        finally:
            await transaction.end()


@asynccontextmanager
async def lent(database: Database) -> AsyncGenerator[Driver]:
    """A connection of the pool as asyncpg has it: each statement is its own transaction."""
    async with database.engine.connect() as connection, _thrown_away_if_unsound(connection):
        yield _driver_under(connection)


@asynccontextmanager
async def _thrown_away_if_unsound(connection: AsyncConnection) -> AsyncGenerator[None]:
    try:
        yield
    except BaseException as error:
        if not _is_sound_after(error):
            _driver_under(connection).terminate()
            with suppress(SQLAlchemyError):  # the first error is the one that tells, a cancellation above all
                await connection.invalidate(error)
        raise


def _is_sound_after(error: BaseException) -> bool:
    """Whether the connection can be used again: not after silence, nor in the middle of a statement.

    SQLAlchemy sees to that for what goes by it; asyncpg would wait for an answer to its request to cancel.
    """
    return not (is_unavailable(error) or isinstance(error, OSError | asyncio.CancelledError))
