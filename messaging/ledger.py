"""The rows of a simulated remote end, one a key: calls that come together are decided and stored together.

A remote end has machines of its own; its simulator must not take the service's connections, nor most of its CPU. So it
holds no lock while it decides: a decision is stored if its row is still as it was known, else made again. What was
stored last is known without reading, and any other row is taken for new first, as most are.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import Text, inspect
from sqlmodel import Field

from messaging.database import Database, is_unavailable
from messaging.rows import Mapped, PlainRow, as_stored, mapped
from messaging.transaction import lent

LONGEST_GATHERING = 0.02
"""Seconds that calls gather at most, which they do for as long as the last ones took."""
MOST_AT_ONCE = 100
"""Calls that are decided together at most."""
MOST_KEPT = 5_000
"""Rows that are known without reading, at most."""


class Entry(PlainRow):
    """Mixin of a ledger's table. Every other column has a default."""

    key: str = Field(primary_key=True, sa_type=Text)
    """The idempotency key under which the remote end is called."""


Row = TypeVar("Row", bound=Entry)
Answer = TypeVar("Answer")


@dataclass(eq=False, slots=True)
class _Call(Generic[Row, Answer]):
    key: str
    decide: Callable[[Row], Answer]
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Ledger(Generic[Row, Answer]):
    """Calls that come while others are decided are decided next, together, by one connection."""

    def __init__(self, database: Database, model: type[Row]) -> None:
        self._database = database
        self._model = model
        self._rows = mapped(model)
        blank = model(key="")
        self._defaults = [(name, self._rows.bound(name, [getattr(blank, name)])[0]) for name in self._rows.columns]
        self._look, self._store = _statements(self._rows)
        self._kept: dict[str, tuple[Row, str]] = {}
        """Rows as this process stored them, with their versions; somebody else may have changed them since."""
        self._waiting: list[_Call[Row, Answer]] = []
        self._work: asyncio.Task[None] | None = None

    async def settle(self, key: str, decide: Callable[[Row], Answer]) -> Answer:
        """Let the call decide on its row, made if it is new; return its answer once that is stored.

        `decide` may run more than once; only the last run counts. Raises what it raises, and what the database raises.
        A caller that gives up does not undo the decision.
        """
        call = _Call(key, decide)
        self._waiting.append(call)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._settle_waiting(), name=f"{self._model.__name__} ledger")
        return await call.answer

    async def find(self, key: str) -> Row | None:
        """Read the row as it was last stored."""
        async with self._database.session() as db:
            return await db.get(self._model, key)

    async def _settle_waiting(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting:
            began = clock()
            calls, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            await self._settle(calls)
            if len(self._waiting) < MOST_AT_ONCE:
                await asyncio.sleep(min(clock() - began, LONGEST_GATHERING))

    async def _settle(self, calls: Sequence[_Call[Row, Answer]], *, reading: bool = False) -> None:
        """Decide, and decide again, reading now, on what is not as it was taken for."""
        while calls:
            try:
                stored = await self._attempt(calls, reading=reading)
            except Exception as error:  # noqa: BLE001 - handed to whoever waits for the answer
                if reading or is_unavailable(error):
                    await self._fail(calls, error)
                    return
                stored = ()
            calls, reading = _without(stored, calls), True

    async def _fail(self, calls: Sequence[_Call[Row, Answer]], error: Exception) -> None:
        """Decide each alone, so that only the one that is to blame fails; all do while the database is away."""
        if len(calls) > 1 and not is_unavailable(error):
            for call in calls:
                await self._settle([call], reading=True)
            return
        for call in calls:
            if not call.answer.done():
                call.answer.set_exception(error)

    async def _attempt(self, calls: Sequence[_Call[Row, Answer]], *, reading: bool) -> Collection[str]:
        """Decide, and store what nobody else has changed. Returns the keys whose calls are answered.

        Without reading, a decision that changes nothing is none: there was nothing to store that would tell whether the
        row is still so.
        """
        keys = sorted({call.key for call in calls})  # in one order everywhere: two processes may store the same ones
        async with lent(self._database) as driver:
            known = {key: kept for key in keys if (kept := self._kept.pop(key, None))}
            found = self._read(await driver.fetch(self._look, keys)) if reading else known
            rows = {key: found[key][0] if key in found else self._rows.instance(self._blank(key)) for key in keys}
            answers = [call.decide(rows[call.key]) for call in calls]
            changed = [row for row in rows.values() if row.key not in found or inspect(row).committed_state]
            stored = rows.keys() - {row.key for row in changed} if reading else set[str]()
            if changed:
                columns = (
                    self._rows.bound(name, [getattr(row, name) for row in changed]) for name in self._rows.columns
                )
                versions = [found[row.key][1] if row.key in found else None for row in changed]
                for key, version in await driver.fetch(self._store, versions, *columns):
                    self._keep(rows[key], version)
                    stored.add(key)
        for call, answer in zip(calls, answers, strict=True):
            if call.key in stored and not call.answer.done():
                call.answer.set_result(answer)
        return stored

    def _keep(self, row: Row, version: str) -> None:
        as_stored(row)
        if len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[row.key] = (row, version)

    def _read(self, records: Iterable[Any]) -> dict[str, tuple[Row, str]]:
        rows = ((self._rows.instance(values), version) for version, *values in records)
        return {row.key: (row, version) for row, version in rows}

    def _blank(self, key: str) -> Iterable[Any]:
        return (key if name == self._rows.key else default for name, default in self._defaults)


def _without(keys: Collection[str], calls: Sequence[_Call[Row, Answer]]) -> Sequence[_Call[Row, Answer]]:
    return [call for call in calls if call.key not in keys]


def _statements(rows: Mapped[Any]) -> tuple[str, str]:
    """What reads rows with their versions, and what stores those whose version is still that, made if it is NULL."""
    listed, own = ", ".join(rows.columns), [name for name in rows.columns if name != rows.key]
    look = f"SELECT xmin::text, {listed} FROM {rows.name} WHERE {rows.key} = ANY ({rows.key_array})"  # noqa: S608 - names
    store = f"""
        WITH given AS (
            SELECT * FROM unnest($1::text[], {rows.arrays(rows.columns, 2)}) AS given (version, {listed})),
        made AS (
            INSERT INTO {rows.name} ({listed}) SELECT {listed} FROM given WHERE version IS NULL ORDER BY {rows.key}
            ON CONFLICT DO NOTHING RETURNING {rows.key}, xmin::text),
        held AS (
            SELECT {rows.key}, xmin::text AS version FROM {rows.name}
            WHERE {rows.key} = ANY (ARRAY(SELECT {rows.key} FROM given WHERE version IS NOT NULL))
            ORDER BY {rows.key} FOR UPDATE),
        changed AS (
            UPDATE {rows.name} AS old SET {", ".join(f"{name} = given.{name}" for name in own)}
            FROM given JOIN held USING ({rows.key}, version) WHERE old.{rows.key} = given.{rows.key}
            RETURNING old.{rows.key}, old.xmin::text)
        SELECT * FROM made UNION ALL SELECT * FROM changed
    """  # noqa: S608 - names
    return look, store
