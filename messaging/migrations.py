"""Alembic for services: a tiny `env.py` calls `run`; each first migration calls `upgrade_kernel`."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.config import Config
from sqlalchemy import MetaData, pool, text
from sqlalchemy.engine import Connection

from messaging.database import async_engine
from messaging.tables import ADDED, KERNEL

LOCK = 0x0DE5_0001
"""Key of the advisory lock under which one process at a time migrates a database."""


def migrate(service: str, url: str, revision: str = "head") -> None:
    """Bring the service's database to `revision`. Safe to run from several processes at once."""
    command.upgrade(config(service, url), revision)


def config(service: str, url: str) -> Config:
    """Alembic's configuration for a service. Raises LookupError when the service has no migrations."""
    spec = find_spec(service)
    folder = Path(spec.origin).parent / "migrations" if spec and spec.origin else None
    if folder is None or not folder.is_dir():
        msg = f"no service {service!r} with a migrations folder is here"
        raise LookupError(msg)
    made = Config()
    made.set_main_option("script_location", str(folder))
    made.attributes["url"] = url
    return made


def run(metadata: MetaData) -> None:
    """The body of a service's `env.py`."""
    asyncio.run(_run(metadata, context.config.attributes["url"]))


async def _run(metadata: MetaData, url: str) -> None:
    engine = async_engine(url, poolclass=pool.NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(_migrate, metadata)
    await engine.dispose()


def _migrate(connection: Connection, metadata: MetaData) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


def upgrade_kernel(op: Any, version: int) -> None:
    """Bring the kernel's tables from the version before to this one; `op` is `alembic.op`.

    Version 1 makes the tables. Raises LookupError for a version that there is not.
    """
    if version != 1 and version not in ADDED:
        msg = f"the kernel has no schema version {version}"
        raise LookupError(msg)
    for table in KERNEL:
        made = table.to_metadata(MetaData())
        if version == 1:
            made.indexes -= {index for index in made.indexes if any(index.name in later for later in ADDED.values())}
            made.create(op.get_bind())
        else:
            for index in made.indexes:
                if index.name in ADDED[version]:
                    index.create(op.get_bind())


def downgrade_kernel(op: Any, version: int) -> None:
    """Take back what `upgrade_kernel` did for that version."""
    if version == 1:
        for table in reversed(KERNEL):
            op.drop_table(table.name)
    else:
        for index in ADDED[version]:
            op.drop_index(index)
