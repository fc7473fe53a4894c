"""Create, drop and reach PostgreSQL databases, from code that is not async."""

import asyncpg

from devstack.threads import run_apart


def create(admin_url: str, name: str, *, template: str) -> None:
    """Create a database unless it exists."""

    async def work() -> None:
        connection = await asyncpg.connect(admin_url, timeout=10)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        finally:
            await connection.close()

    run_apart(work)


def drop(admin_url: str, name: str) -> None:
    """Drop a database if it exists; whoever is connected to it is cut off."""

    async def work() -> None:
        connection = await asyncpg.connect(admin_url, timeout=10)
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()

    run_apart(work)


def ping(url: str) -> None:
    """Raise what asyncpg raises if the database does not answer."""

    async def work() -> None:
        connection = await asyncpg.connect(url, timeout=5)
        await connection.close()

    run_apart(work)
