"""Rows that a transaction locks: read by one statement for a group, and written back by one.

They are instances of their SQLModel, and no session's: SQLAlchemy's unit of work takes longer than all else that a
message needs. What a handler assigns to a row's columns is stored before its transaction commits.

    reservations = await locked(db, Reservation, order_ids)
    reservations[order_id].state = "reserved"
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Column, Table, event, inspect, text
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.database import as_json
from messaging.transaction import DRIVER, Driver

Row = TypeVar("Row", bound=SQLModel)
Store = Callable[[Driver], Awaitable[None]]

_DIALECT = dialect(json_serializer=as_json)
_BEGIN = text("SELECT 1")
_STORES, _NEW = "messaging.stores", "messaging.new"


async def driver_of(db: AsyncSession) -> Driver:
    """The session's connection as asyncpg has it, for statements of the session's transaction."""
    known: Driver = db.info.get(DRIVER)
    if known is not None:
        return known
    core = await db.connection()
    found: Driver = (await core.get_raw_connection()).driver_connection
    if not found.is_in_transaction():  # SQLAlchemy begins it with its first statement, and asks for none itself
        await core.execute(_BEGIN)
    return found


async def locked(db: AsyncSession, model: type[Row], keys: Collection[Any]) -> dict[Any, Row]:
    """Lock the rows with these keys that are there, in key order; what is assigned to them is stored at the commit."""
    table = mapped(model)
    rows = await table.lock(await driver_of(db), keys)
    if rows:
        before_commit(db, lambda connection: table.store(connection, rows.values()))
    return rows


def before_commit(db: AsyncSession, store: Store) -> None:
    """Have `store` run before the session's transaction commits, and whenever `store_all` is called."""
    stores: list[Store] | None = db.info.get(_STORES)
    if stores is None:
        stores = db.info[_STORES] = []
        event.listen(db.sync_session, "before_commit", _store_at_commit)
    stores.append(store)


def add(db: AsyncSession, model: type[SQLModel], columns: Mapping[str, Any]) -> None:
    """Have a new row written before the commit: those of a model, which give the same columns, by one statement."""
    new: dict[type[SQLModel], list[Mapping[str, Any]]] = db.info.setdefault(_NEW, {})
    if model not in new:
        new[model] = []
        before_commit(db, lambda connection: _write(connection, model, new[model]))
    new[model].append(columns)


async def _write(connection: Driver, model: type[SQLModel], rows: list[Mapping[str, Any]]) -> None:
    if rows:
        await mapped(model).insert(connection, rows)
        rows.clear()


async def store_all(db: AsyncSession) -> None:
    """Write what was assigned to locked rows, and whatever else waits for the commit."""
    if db.in_transaction():
        await db.flush()
    for store in db.info.get(_STORES, ()):
        await store(await driver_of(db))


def _store_at_commit(session: Session) -> None:
    connection = cast("Any", session.connection().connection.dbapi_connection)
    for store in session.info[_STORES]:
        connection.run_async(store)


_mapped: dict[type[SQLModel], Mapped[Any]] = {}


def mapped(model: type[Row]) -> Mapped[Row]:
    """How the model's rows are read and written."""
    if model not in _mapped:
        _mapped[model] = Mapped(model)
    return _mapped[model]


class Mapped(Generic[Row]):
    """One model's rows, through asyncpg. Those that are to be locked have a primary key of one column."""

    def __init__(self, model: type[Row]) -> None:
        """Raises TypeError for a model whose rows cannot be passed as one array a column."""
        mapper = inspect(model)
        mapper.registry.configure()  # as SQLAlchemy does when it makes a first instance
        self._manager = mapper.class_manager
        table = cast("Table", mapper.local_table)
        self._name = table.name
        self._columns = {column.name: column for column in table.columns}
        self._types = {name: column.type.compile(_DIALECT) for name, column in self._columns.items()}
        if any("[]" in kind for kind in self._types.values()):
            raise TypeError(f"{model.__name__}: no arrays")
        self._key, *self._more_keys = [column.name for column in table.primary_key]
        self._listed = ", ".join(self._columns)
        self._from_database = _processors(self._columns.values(), "result_processor", None)
        self._to_database = _processors(self._columns.values(), "bind_processor")
        self._key_array = f"CAST($1 AS {self._types[self._key]}[])"
        self._lock = (
            f"SELECT {self._listed} FROM {self._name} WHERE {self._key} = ANY ({self._key_array})"  # noqa: S608 - names
            f" ORDER BY {self._key} FOR UPDATE"
        )

    async def lock(self, connection: Driver, keys: Collection[Any]) -> dict[Any, Row]:
        """Lock the rows with these keys that are there, in key order."""
        assert not self._more_keys  # noqa: S101 - the models that are locked are ours
        return self._by_key(await connection.fetch(self._lock, list(keys)))

    async def enter(self, connection: Driver, blank: Row, keys: Iterable[Any]) -> dict[Any, Row]:
        """Lock the rows with these keys, in key order; those that are not there are made, as `blank`."""
        columns = [name for name in self._columns if name != self._key]
        values = [self._bound(name, [getattr(blank, name)])[0] for name in columns]
        given = ", ".join(f"CAST(${number} AS {self._types[name]})" for number, name in enumerate(columns, 2))
        # An update that changes nothing locks the row that was there; DO NOTHING would return none.
        statement = (
            f"INSERT INTO {self._name} ({', '.join([self._key, *columns])})"  # noqa: S608 - names
            f" SELECT key, {given} FROM unnest({self._key_array}) AS given (key) ORDER BY key"
            f" ON CONFLICT ({self._key}) DO UPDATE SET {self._key} = excluded.{self._key} RETURNING {self._listed}"
        )
        return self._by_key(await connection.fetch(statement, list(keys), *values))

    async def store(self, connection: Driver, rows: Iterable[Row]) -> None:
        """Write what was assigned to these locked rows since they were read, or stored."""
        changed = [state for row in rows if (state := inspect(row)).committed_state]
        if not changed:
            return
        names = sorted({name for state in changed for name in state.committed_state} & self._columns.keys())
        given = [self._key, *names]
        arrays = ", ".join(f"CAST(${number} AS {self._types[name]}[])" for number, name in enumerate(given, 1))
        statement = (
            f"UPDATE {self._name} AS held SET {', '.join(f'{name} = new.{name}' for name in names)}"  # noqa: S608 - names
            f" FROM unnest({arrays}) AS new ({', '.join(given)}) WHERE held.{self._key} = new.{self._key}"
        )
        await connection.execute(statement, *(self._bound(name, [s.dict[name] for s in changed]) for name in given))
        for state in changed:
            for name in list(state.committed_state):
                set_committed_value(state.obj(), name, state.dict[name])

    async def insert(self, connection: Driver, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write new rows that all give the same columns."""
        names = list(rows[0])
        arrays = ", ".join(f"CAST(${number} AS {self._types[name]}[])" for number, name in enumerate(names, 1))
        statement = f"INSERT INTO {self._name} ({', '.join(names)}) SELECT * FROM unnest({arrays})"  # noqa: S608 - names
        await connection.execute(statement, *(self._bound(name, [row[name] for row in rows]) for name in names))

    def _bound(self, name: str, values: list[Any]) -> list[Any]:
        process = self._to_database.get(name)
        return values if process is None else [process(value) for value in values]

    def _by_key(self, records: Iterable[Any]) -> dict[Any, Row]:
        """Instances with the records' values, as SQLAlchemy makes those that it loads: no validation, no history."""
        rows: dict[Any, Row] = {}
        for record in records:
            row = cast("Row", self._manager.new_instance())
            values = vars(row)
            values.update(record.items())
            for name, process in self._from_database.items():
                values[name] = process(values[name])
            rows[values[self._key]] = row
        return rows


def _processors(columns: Iterable[Column[Any]], which: str, *given: Any) -> dict[str, Callable[[Any], Any]]:
    """What SQLAlchemy does to the values of those columns to which it does something."""
    found = {column.name: getattr(column.type.dialect_impl(_DIALECT), which)(_DIALECT, *given) for column in columns}
    return {name: process for name, process in found.items() if process is not None}
