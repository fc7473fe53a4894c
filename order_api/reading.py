"""Database sessions for requests that only read."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.database import COMMAND_TIMEOUT, Database, DatabaseUnavailable, is_unavailable


@asynccontextmanager
async def reading(database: Database) -> AsyncGenerator[AsyncSession]:
    """Open a session that ends within COMMAND_TIMEOUT seconds. Raises DatabaseUnavailable when the database is away."""
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT), database.session() as session:
            yield session
    except Exception as error:
        if is_unavailable(error):
            raise DatabaseUnavailable(type(error).__name__) from error
        raise
