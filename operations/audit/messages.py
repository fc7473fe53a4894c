"""Messages: what was published is applied, parked, or still on its way, for each queue that is to have it.

An application counts under any re-drive number: what was lost and said again is not missing. The reverse, an effect of
something that nobody published, shows elsewhere: as a fact that nobody said, or a row without an order.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from operations.audit.kinds import Discrepancy, Kind
from operations.audit.orders import LONGEST_WAIT
from operations.audit.sources import PAGE, Row, Sources
from operations.audit.suspicions import Suspicions

MARGIN = timedelta(hours=1)
"""What is about to be pruned is not asked for: its consumer may have forgotten it first."""

_SAID = """
    SELECT id, event_id, name, order_id, created_at, sent_at IS NOT NULL AS sent FROM outbox
"""
_NEWER = text(f"""
    {_SAID} WHERE id > :after AND id < :until ORDER BY id LIMIT :most
""")
_THESE = text(f"{_SAID} WHERE id = ANY (CAST(:ids AS uuid[]))")
_APPLIED = text("SELECT DISTINCT queue, event_id FROM inbox WHERE event_id = ANY (CAST(:ids AS uuid[]))")


class Delivery(NamedTuple):
    """An event that a queue is to have."""

    queue: str
    event_id: UUID


Parked = Callable[[Collection[Delivery]], Awaitable[set[Delivery]]]
"""Says which of these are in the custody of the dead-letter office, or were."""


@dataclass(slots=True)
class Tally:
    """A queue's messages, as often as they were said. What is neither applied nor parked is on its way or missing."""

    published: int = 0
    applied: int = 0
    parked: int = 0
    in_flight: int = 0
    missing: int = 0


@dataclass(slots=True)
class _Kept:
    """A message in an outbox that some queue does not have yet."""

    service: str
    row: Row
    queues: list[str]
    due: datetime


class Messages:
    """Reads at most `most` new messages of each outbox a look.

    `consumers`: the queues that hear each event, by its name; those of services whose database is not given are left
    out. Without `parked` nothing is called missing. The other settings are those of Orders.
    """

    def __init__(  # noqa: PLR0913 - wired once, by name
        self,
        sources: Sources,
        consumers: Mapping[str, Sequence[str]],
        parked: Parked | None,
        *,
        grace: timedelta,
        lag: timedelta,
        retention: timedelta,
        most: int,
    ) -> None:
        self.suspicions = Suspicions()
        self.complete = False
        """Whether every message that is kept has been read once, but those younger than `lag`."""
        self._sources, self._parked = sources, parked
        self._consumers = {
            name: [queue for queue in queues if _service(queue) in sources.databases]
            for name, queues in consumers.items()
        }
        self._grace, self._lag, self._retention, self._most = grace, lag, retention, most
        self._after: dict[str, UUID] = {}
        self._kept: dict[UUID, _Kept] = {}
        self._done: dict[str, Tally] = {
            queue: Tally() for _, queues in sorted(self._consumers.items()) for queue in queues
        }

    def tallies(self, now: datetime) -> Mapping[str, Tally]:
        """The messages of each queue that were read."""
        tallies = {queue: Tally(done.published, done.applied, done.parked) for queue, done in self._done.items()}
        for kept in self._kept.values():
            is_missing = self._parked is not None and now - kept.row["created_at"] > self._grace
            for queue in kept.queues:
                tallies[queue].published += 1
                if is_missing:
                    tallies[queue].missing += 1
                else:
                    tallies[queue].in_flight += 1
        return tallies

    async def look(self, now: datetime) -> None:
        """Read what is due and what is new, service by service."""
        complete = True
        for service in self._sources.databases:
            due = [id_ for id_, kept in self._kept.items() if kept.service == service and kept.due <= now]
            for start in range(0, min(len(due), self._most), PAGE):
                await self._look_again(service, due[start : start + PAGE], now)
            complete &= await self._read_on(service, now)
        self.complete = complete

    async def _look_again(self, service: str, ids: Sequence[UUID], now: datetime) -> None:
        rows = {row["id"]: row for row in await self._sources.ask(service, _THESE, ids=list(ids))}
        for id_ in set(ids) - rows.keys():  # pruned: nothing can be said of it any more
            self._judge(self._kept.pop(id_), [])
        for id_, row in rows.items():
            self._kept[id_].row = row
        await self._settle([self._kept[id_] for id_ in rows], now)

    async def _read_on(self, service: str, now: datetime) -> bool:
        """Read the next messages; return whether these were the last."""
        after = self._after.get(service) or _first_id(now - self._retention + MARGIN)
        until = _first_id(now - self._lag)
        for _ in range(0, self._most, PAGE):
            rows = await self._sources.ask(service, _NEWER, after=after, until=until, most=PAGE)
            new = [_Kept(service, row, list(self._consumers.get(row["name"], ())), now) for row in rows]
            await self._settle(new, now)
            if rows:
                self._after[service] = after = rows[-1]["id"]
            if len(rows) < PAGE:
                return True
        return False

    async def _settle(self, messages: Sequence[_Kept], now: datetime) -> None:
        """See which of their queues have these messages; keep those that some has not."""
        applied = await self._applied(messages)
        open_ = {delivery for message in messages for delivery in _deliveries(message)} - applied
        parked = await self._parked(open_) if self._parked is not None and open_ else set[Delivery]()
        for message in messages:
            self._kept.pop(message.row["id"], None)
            for queue, event_id in _deliveries(message):
                tally, delivery = self._done[queue], Delivery(queue, event_id)
                if delivery in applied or delivery in parked:
                    message.queues.remove(queue)
                    tally.published += 1
                    tally.applied += delivery in applied
                    tally.parked += delivery not in applied
            found = list(self._discrepancies(message))
            standing = [each for each in found if each.stands(now, self._grace)]
            self._judge(message, standing)
            if found or message.queues:
                age: timedelta = now - message.row["created_at"]
                message.due = now + (timedelta() if standing else min(age / 4, LONGEST_WAIT))
                self._kept[message.row["id"]] = message

    async def _applied(self, messages: Sequence[_Kept]) -> set[Delivery]:
        wanted: dict[str, list[UUID]] = {}
        for message in messages:
            for queue in message.queues:
                wanted.setdefault(_service(queue), []).append(message.row["event_id"])
        return {
            Delivery(row["queue"], row["event_id"])
            for service, ids in wanted.items()
            for row in await self._sources.ask(service, _APPLIED, ids=ids)
        }

    def _discrepancies(self, message: _Kept) -> Iterator[Discrepancy]:
        row = message.row
        about = f"{row['name']} {row['event_id']}" + (f" of order {row['order_id']}" if row["order_id"] else "")
        if not row["sent"]:
            detail = f"{about} waits in the outbox of {message.service}"
            yield Discrepancy(Kind.MESSAGE_UNSENT, _subject(message), detail, row["created_at"])
        elif message.queues and self._parked is not None:
            detail = f"{about} is neither applied nor parked: {', '.join(message.queues)}"
            yield Discrepancy(Kind.MESSAGE_MISSING, _subject(message), detail, row["created_at"])

    def _judge(self, message: _Kept, standing: Sequence[Discrepancy]) -> None:
        self.suspicions.judge(_subject(message), standing)


def _subject(message: _Kept) -> str:
    return f"{message.row['id']} in the outbox of {message.service}"


def _deliveries(message: _Kept) -> list[Delivery]:
    return [Delivery(queue, message.row["event_id"]) for queue in message.queues]


def _service(queue: str) -> str:
    """The service whose queue it is: the queue is named after it."""
    return queue.partition(".")[0]


def _first_id(moment: datetime) -> UUID:
    """The smallest id that was made at that moment: an outbox row's id begins with its time (UUIDv7)."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
