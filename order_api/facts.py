"""What happened to orders, as a transaction sees it: the names of what is known, and what is new.

The path of every request and message leads through here, so no object of the ORM is made: one statement reads the names
for a whole group of messages, and one writes orders and facts.
"""

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import Event, OrderCreated, OrderEvent
from messaging.order_row import OrderRow
from messaging.rows import before_commit, driver_of, mapped
from messaging.writes import Write
from order_api.domain import Status
from order_api.models import Order
from rest.callers import Caller

TOLD = {"amount", "carrier", "payment_id", "reason", "shortages", "tracking_number"}
"""What a timeline tells of an event: no personal data, and nothing that the order itself shows."""

_FACTS = "order_api.facts"
_READ = "SELECT order_id, array_agg(name) FROM facts WHERE order_id = ANY ($1::uuid[]) GROUP BY order_id"
_WRITE = """
    INSERT INTO facts (order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_before, status_after)
    SELECT order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_before, status_after
    FROM unnest(
        $1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::jsonb[],
        $7::text[], $8::text[], $9::text[]
    ) WITH ORDINALITY AS new (
        order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_before, status_after, turn
    )
    ORDER BY turn
"""
"""In the order in which they were recorded: so rise their positions."""


class NewFact(NamedTuple):
    """A row of `facts` that is to be written; models.Fact says what the columns mean."""

    order_id: UUID
    name: str
    event_id: UUID
    occurred_at: datetime
    recorded_at: datetime
    detail: str
    """JSON."""
    actor: str
    status_before: str | None
    status_after: str


class Facts:
    """The facts of the orders that a transaction works on."""

    def __init__(self) -> None:
        self._known: dict[UUID, set[str]] = {}
        self.orders: list[dict[str, Any]] = []
        self.new: list[NewFact] = []
        """Not written yet, as the orders."""

    @classmethod
    def of(cls, db: AsyncSession) -> "Facts":
        """Return the session's own. What is added to it is written when the session is committed.

        It ends with the session: a failed attempt leaves nothing behind.
        """
        facts: Facts | None = db.info.get(_FACTS)
        if facts is None:
            facts = db.info[_FACTS] = cls()
            before_commit(db, facts.pending)
        return facts

    async def read(self, db: AsyncSession, order_ids: Collection[UUID]) -> None:
        """Get to know what happened to these orders, whose rows are locked."""
        self._known.update((order_id, set()) for order_id in order_ids)
        for order_id, names in await (await driver_of(db)).fetch(_READ, list(order_ids)):
            self._known[order_id].update(names)

    def known(self, order_id: UUID) -> AbstractSet[str]:
        """Return the names of what happened to an order. Raises KeyError unless it is new here, or was read."""
        return self._known[order_id]

    def place(
        self, event: OrderCreated, placed_by: Caller, next_deadline: datetime | None = None, trace: str | None = None
    ) -> None:
        """Add a new order, which has said that it was created."""
        self.orders.append(Order.columns(event, placed_by, next_deadline, trace))
        self._known[event.order_id] = set()
        self.add(event, placed_by.actor, None, Status.PENDING)

    def add(self, event: OrderEvent, actor: str, before: str | None, after: str) -> datetime:
        """Add what happened to an order, with its status before (None for its creation) and after. Return the time."""
        now = datetime.now(UTC)
        told = _told_of(type(event))
        detail = event.model_dump_json(include=told) if told else "{}"
        row = (event.order_id, event.name, event.event_id, event.occurred_at, now, detail, actor, before, after)
        self.new.append(NewFact(*row))
        if event.order_id in self._known:
            self._known[event.order_id].add(event.name)
        return now

    def pending(self) -> Iterable[Write]:
        """Orders that are new, then facts, which have not been written yet."""
        if self.orders:
            yield mapped(Order).new(self.orders)
            self.orders.clear()
        if self.new:
            yield Write("facts", _WRITE, [*map(list, zip(*self.new, strict=True))])
            self.new.clear()


@cache
def _told_of(kind: type[OrderEvent]) -> set[str]:
    return TOLD & kind.model_fields.keys()


async def preload(db: AsyncSession, batch: Sequence[tuple[Event, OrderRow | None]]) -> None:
    """Read what is known of the orders that a group of messages is about, before any handler runs."""
    order_ids = {row.order_id for _, row in batch if row is not None}
    if order_ids:
        await Facts.of(db).read(db, order_ids)
