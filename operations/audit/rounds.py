"""All rows in turn, those of settled orders, too: each must have an order, and none may have met the impossible."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import TextClause, text

from operations.audit.kinds import Discrepancy, Kind
from operations.audit.sources import INVENTORY, ORDER_API, PAGE, PAYMENT, SHIPPING, Row, Sources
from operations.audit.suspicions import Suspicions

_KNOWN = text("SELECT order_id::text AS key FROM orders WHERE order_id = ANY (CAST(:ids AS uuid[]))")


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows ask for an order, by a key of that column."""

    service: str
    name: str
    column: str
    called: str
    """What a row is, for the reader."""

    @property
    def columns(self) -> str:
        """What is read: the key, and whether the row has noted an anomaly; remote ends note none."""
        anomalous = "false" if self.column == "key" else "anomalies <> '[]'"
        return f"{self.column}::text AS key, {anomalous} AS anomalous"

    @property
    def after(self) -> TextClause:
        """The next page."""
        return text(
            f"SELECT {self.columns} FROM {self.name} "  # noqa: S608 - constants
            f"WHERE {self.column} > CAST(:after AS {self.kind}) ORDER BY {self.column} LIMIT :most"
        )

    @property
    def these(self) -> TextClause:
        """Those of these keys that are there."""
        return text(
            f"SELECT {self.columns} FROM {self.name} "  # noqa: S608 - constants
            f"WHERE {self.column} = ANY (CAST(:keys AS {self.kind}[]))"
        )

    @property
    def kind(self) -> str:
        """The column's type."""
        return "uuid" if self.column == "order_id" else "text"

    @property
    def before_all(self) -> str:
        """What sorts before every key."""
        return str(UUID(int=0)) if self.kind == "uuid" else ""


TABLES = (
    Table(PAYMENT, "payments", "order_id", "a payment"),
    Table(PAYMENT, "gateway_accounts", "key", "an account at the gateway"),
    Table(INVENTORY, "reservations", "order_id", "a reservation"),
    Table(SHIPPING, "shipments", "order_id", "a parcel"),
    Table(SHIPPING, "carrier_bookings", "key", "a booking at the carrier"),
    Table(ORDER_API, "orders", "order_id", "an order"),
)


class Rounds:
    """Goes round the tables, at most `most` rows of each a look; a round begins at most once every `interval`.

    The order API is asked after the others: an order is committed before anybody hears of it.
    """

    def __init__(self, sources: Sources, *, interval: timedelta, most: int) -> None:
        self.suspicions = Suspicions()
        self.complete = False
        """Whether every row has been read once."""
        self._sources, self._interval, self._most = sources, interval, most
        self._places: dict[Table, str] = {}
        self._suspected: dict[Table, set[str]] = {table: set() for table in TABLES}
        self._next_round: datetime | None = None

    async def look(self, now: datetime) -> None:
        """Look at the suspects again, and at the next rows."""
        for table in TABLES:
            if await self._sources.readable(table.service, table.name):
                await self._look_again(table)
        if self._next_round is None or now >= self._next_round:
            self._next_round = now + self._interval
            self._places = {table: table.before_all for table in TABLES}
        for table in list(self._places):
            if not await self._sources.readable(table.service, table.name) or await self._read_on(table):
                del self._places[table]
        self.complete = self.complete or not self._places

    async def _look_again(self, table: Table) -> None:
        suspects = sorted(self._suspected[table])
        for start in range(0, len(suspects), PAGE):
            page = suspects[start : start + PAGE]
            rows = await self._sources.ask(table.service, table.these, keys=page)
            await self._judge(table, rows)
            for gone in set(page) - {row["key"] for row in rows}:
                self._enter(table, gone, [])

    async def _read_on(self, table: Table) -> bool:
        """Read the next rows; return whether these were the last."""
        for _ in range(0, self._most, PAGE):
            rows = await self._sources.ask(table.service, table.after, after=self._places[table], most=PAGE)
            await self._judge(table, [row for row in rows if row["key"] not in self._suspected[table]])
            if len(rows) < PAGE:
                return True
            self._places[table] = rows[-1]["key"]
        return False

    async def _judge(self, table: Table, rows: Sequence[Row]) -> None:
        ids = {row["key"]: order_id for row in rows if (order_id := _order_of(row["key"])) is not None}
        orders = await self._sources.ask(ORDER_API, _KNOWN, ids=sorted(set(ids.values()))) if ids else []
        known = {row["key"] for row in orders}
        for row in rows:
            order_id = str(ids[row["key"]]) if row["key"] in ids else None
            self._enter(table, row["key"], list(_found(table, row, order_id if order_id in known else None)))

    def _enter(self, table: Table, key: str, found: Sequence[Discrepancy]) -> None:
        self.suspicions.judge(f"{key} in {table.name}", found)
        if found:
            self._suspected[table].add(key)
        else:
            self._suspected[table].discard(key)


def _found(table: Table, row: Row, order_id: str | None) -> Iterator[Discrepancy]:
    """What is wrong with a row, whose order is known under that id."""
    key: str = row["key"]
    if order_id is None:
        yield Discrepancy(Kind.WITHOUT_ORDER, f"{key} in {table.name}", f"{table.called}, and no such order")
    elif order_id != key:
        detail = f"{table.called} besides that of order {order_id}"
        yield Discrepancy(Kind.DUPLICATE_ACCOUNT, f"{key} in {table.name}", detail)
    if row["anomalous"]:
        yield Discrepancy(Kind.ANOMALY, key, f"{table.service} met an event that cannot happen")


def _order_of(key: str) -> UUID | None:
    """The order that a key stands for, however it is written."""
    try:
        return UUID(key)
    except ValueError:
        return None
