"""Each service's migrations make the tables that its models describe, and can be taken back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Integer, MetaData, inspect, text

from devstack.services import SERVICES
from messaging.database import Database
from messaging.migrations import config

pytestmark = pytest.mark.database

METADATA: Mapping[str, MetaData] = {service: import_module(f"{service}.models").Model.metadata for service in SERVICES}

CONSTRAINTS = text("""
    SELECT conrelid::regclass || '.' || conname || ': ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND conrelid <> to_regclass('alembic_version')
    ORDER BY 1
""")
"""Every constraint as PostgreSQL spells it: Alembic's comparison looks at no CHECK."""

Make = Callable[[str], Awaitable[Database]]


def differences(connection: Connection, metadata: MetaData) -> list[object]:
    """What Alembic would put into a new revision."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def constraints(database: Database) -> list[str]:
    """Every constraint in the database."""
    async with database.engine.connect() as connection:
        return list((await connection.scalars(CONSTRAINTS)).all())


def copied(metadata: MetaData) -> MetaData:
    """A copy that a test may spoil."""
    copy = MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(copy)
    return copy


@pytest.mark.parametrize("service", SERVICES)
async def test_migrations_make_what_models_describe(service: str, service_database: Make) -> None:
    """A database that was migrated to its newest schema needs no further revision."""
    database = await service_database(service)
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences, METADATA[service]) == []


@pytest.mark.parametrize("service", SERVICES)
async def test_migrations_go_back_to_nothing(service: str, service_database: Make) -> None:
    """Downgrading to base leaves no table; what the models then create has the constraints that the migrations made."""
    database = await service_database(service)
    migrated = await constraints(database)
    await asyncio.to_thread(command.downgrade, config(service, database.url), "base")
    async with database.engine.begin() as connection:
        assert await connection.run_sync(lambda c: inspect(c).get_table_names()) == ["alembic_version"]
        await connection.run_sync(METADATA[service].create_all)
    assert await constraints(database) == migrated


async def test_a_drifted_model_is_reported(service_database: Make) -> None:
    """A column that no migration made, a dropped one, and one that became nullable are each found."""
    drifted = copied(METADATA["payment"])
    payments = drifted.tables["payments"]
    payments.append_column(Column("refunds", Integer))
    payments.c.state.nullable = True
    drifted.remove(drifted.tables["gateway_accounts"])
    database = await service_database("payment")
    async with database.engine.connect() as connection:
        found = str(await connection.run_sync(differences, drifted))
    assert "'add_column'" in found
    assert "'modify_nullable'" in found
    assert "'remove_table'" in found


async def test_a_lost_check_is_reported(service_database: Make) -> None:
    """A CHECK that a migration forgot shows in the list of constraints."""
    database = await service_database("inventory")
    before = await constraints(database)
    check = next(line for line in before if "CHECK" in line)
    table, name = check.partition(":")[0].split(".")
    async with database.engine.begin() as connection:
        await connection.execute(text(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"'))
    assert await constraints(database) == [line for line in before if line != check]
