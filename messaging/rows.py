"""Rows that a transaction locks: read by one statement for a group, and written back by one.

They are instances of their SQLModel, and no session's: SQLAlchemy's unit of work takes longer than all else that a
message needs. What a handler assigns to a row's columns is stored before its transaction commits.

    reservations = await locked(db, Reservation, order_ids)
    reservations[order_id].state = "reserved"
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Column, Table, event, inspect, text
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.database import as_json
from messaging.transaction import DRIVER, Driver
from messaging.writes import Write, write_all


class PlainRow(SQLModel):
    """Mixin of a table whose rows are assigned to once or more for each message."""

    __setattr__ = object.__setattr__  # pyright: ignore[reportAssignmentType] - nobody names its arguments
    """What SQLModel adds to it validates nothing in a table's row, and takes thrice as long."""


Row = TypeVar("Row", bound=SQLModel)
Pending = Callable[[], Iterable[Write]]
"""What is still to be written; asked again, only what came since."""

_DIALECT = dialect(json_serializer=as_json)
_BEGIN = text("SELECT 1")
_PENDING, _NEW = "messaging.pending", "messaging.new"


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
    rows = await mapped(model).lock(await driver_of(db), keys)
    keep(db, model, rows.values())
    return rows


def keep(db: AsyncSession, model: type[Row], rows: Collection[Row]) -> None:
    """Have what is assigned to these locked rows stored before the session's transaction commits."""
    if rows:
        before_commit(db, lambda: mapped(model).changes(rows))


def before_commit(db: AsyncSession, pending: Pending) -> None:
    """Have what is pending written before the session's transaction commits, and whenever `store_all` is called."""
    known: list[Pending] | None = db.info.get(_PENDING)
    if known is None:
        known = db.info[_PENDING] = []
        event.listen(db.sync_session, "before_commit", _write_at_commit)
    known.append(pending)


def add(db: AsyncSession, model: type[SQLModel], columns: Mapping[str, Any]) -> None:
    """Have a new row written before the commit: those of a model, which give the same columns, by one statement."""
    new: dict[type[SQLModel], list[Mapping[str, Any]]] = db.info.setdefault(_NEW, {})
    if model not in new:
        new[model] = []
        before_commit(db, lambda: _taken(model, new[model]))
    new[model].append(columns)


def _taken(model: type[SQLModel], rows: list[Mapping[str, Any]]) -> Iterable[Write]:
    if rows:
        yield mapped(model).new(rows)
        rows.clear()


async def store_all(db: AsyncSession, also: Iterable[Write] = ()) -> None:
    """Write what was assigned to locked rows, whatever else waits for the commit, and then the writes given."""
    if db.in_transaction():
        await db.flush()
    if writes := [*_pending(db.info), *also]:
        await write_all(await driver_of(db), writes)


def _pending(info: Mapping[Any, Any]) -> Iterable[Write]:
    return (write for pending in info.get(_PENDING, ()) for write in pending())


def _write_at_commit(session: Session) -> None:
    connection = cast("Any", session.connection().connection.dbapi_connection)
    if writes := [*_pending(session.info)]:
        connection.run_async(partial(write_all, writes=writes))


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
        self.name = table.name
        """The table's."""
        self._columns = {column.name: column for column in table.columns}
        self.types = {name: column.type.compile(_DIALECT) for name, column in self._columns.items()}
        if any("[]" in kind for kind in self.types.values()):
            raise TypeError(f"{model.__name__}: no arrays")
        self.key, *self._more_keys = [column.name for column in table.primary_key]
        self._not_read: frozenset[str] = getattr(model, "not_needed", frozenset[str]())
        self.columns = tuple(name for name in self._columns if name not in self._not_read)
        """What is read of a row."""
        self.position = self.columns.index(self.key)
        """Of the key in `columns`."""
        self._listed = ", ".join(self.columns)
        self._from_database = _processors([self._columns[name] for name in self.columns], "result_processor", None)
        self._to_database = _processors(self._columns.values(), "bind_processor")
        self.key_array = f"CAST($1 AS {self.types[self.key]}[])"
        self._lock = (
            f"SELECT {self._listed} FROM {self.name} WHERE {self.key} = ANY ({self.key_array})"  # noqa: S608 - names
            f" ORDER BY {self.key} FOR UPDATE"
        )

    async def lock(self, connection: Driver, keys: Collection[Any]) -> dict[Any, Row]:
        """Lock the rows with these keys that are there, in key order."""
        assert not self._more_keys  # noqa: S101 - the models that are locked are ours
        return self._by_key(await connection.fetch(self._lock, list(keys)))

    def changes(self, rows: Iterable[Row]) -> Iterable[Write]:
        """What was assigned to these locked rows since they were read, or since this was asked before."""
        changed = [state for row in rows if (state := inspect(row)).committed_state]
        if not changed:
            return
        names = sorted({name for state in changed for name in state.committed_state} & self._columns.keys())
        given = [self.key, *names]
        values = [self.bound(name, [state.dict[name] for state in changed]) for name in given]
        statement = (
            f"UPDATE {self.name} AS held SET {', '.join(f'{name} = new.{name}' for name in names)}"  # noqa: S608 - names
            f" FROM unnest({self.arrays(given)}) AS new ({', '.join(given)}) WHERE held.{self.key} = new.{self.key}"
        )
        yield Write(self.name, statement, values)
        for state in changed:
            as_stored(state.obj())

    def new(self, rows: Sequence[Mapping[str, Any]]) -> Write:
        """New rows that all give the same columns."""
        names = list(rows[0])
        statement = f"INSERT INTO {self.name} ({', '.join(names)}) SELECT * FROM unnest({self.arrays(names)})"  # noqa: S608 - names
        return Write(self.name, statement, [self.bound(name, [row[name] for row in rows]) for name in names])

    def arrays(self, names: Iterable[str], first: int = 1) -> str:
        """What `unnest` is given for rows of these columns: an array each, the arguments from `first` on."""
        return ", ".join(f"CAST(${number} AS {self.types[name]}[])" for number, name in enumerate(names, first))

    def bound(self, name: str, values: list[Any]) -> list[Any]:
        """Values of a column as the driver takes them."""
        process = self._to_database.get(name)
        return values if process is None else [process(value) for value in values]

    def _by_key(self, records: Iterable[Any]) -> dict[Any, Row]:
        rows = [self.instance(record.values()) for record in records]
        return {getattr(row, self.key): row for row in rows}

    def instance(self, values: Iterable[Any]) -> Row:
        """A row with these values of `columns`, as SQLAlchemy makes those that it loads: no validation, no history.

        A column that was not read cannot be looked at, but be assigned to.
        """
        row = cast("Row", self._manager.new_instance())
        state = vars(row)
        state.update(zip(self.columns, values, strict=True))
        for name, process in self._from_database.items():
            state[name] = process(state[name])
        if self._not_read:
            inspect(row).expired_attributes.update(self._not_read)
        return row


def as_stored(row: SQLModel) -> None:
    """Take what the row has now for what its table has."""
    state = inspect(row)
    for name in list(state.committed_state):
        set_committed_value(row, name, state.dict[name])


def _processors(columns: Iterable[Column[Any]], which: str, *given: Any) -> dict[str, Callable[[Any], Any]]:
    """What SQLAlchemy does to the values of those columns to which it does something."""
    found = {column.name: getattr(column.type.dialect_impl(_DIALECT), which)(_DIALECT, *given) for column in columns}
    return {name: process for name, process in found.items() if process is not None}
