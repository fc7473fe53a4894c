"""The group unit of work: many messages, one transaction, each effect once.

Messages that are ready share a transaction. It claims their inbox keys, creates and locks their order rows, runs the
handlers one after another, stores what they say in the outbox, and commits. If anything raises, all of it is rolled
back and the group is split, until the message that is to blame has failed alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts.event import Event
from messaging import edge, entry, outbox, receipts
from messaging.away import Away
from messaging.database import Database, DatabaseUnavailable, is_contention, is_unavailable
from messaging.disclosure import in_a_line
from messaging.entry import Wanted
from messaging.inbox import Key
from messaging.order_row import OrderRow
from messaging.outbox import Outgoing
from messaging.outcome import Again
from messaging.rows import keep, store_all
from messaging.supervisor import is_cancelled
from messaging.tracing import Tracing
from messaging.transaction import BEGAN, Driver, opened

log = structlog.get_logger(__name__)

Run = Callable[[AsyncSession, OrderRow | None], Awaitable[Sequence[Event | Again]]]
Batch = Sequence[tuple[Event, OrderRow | None]]
Preload = Callable[[AsyncSession, Batch], Awaitable[None]]

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between attempts in place, doubling."""
LONGEST_GATHERING = 0.05
"""Seconds that the next group of deliveries gathers at most. It gathers as long as the last one took: a transaction
costs hardly more for ten messages than for one, so the busier the machine, the larger the groups."""


@dataclass(eq=False, slots=True)
class Work:
    """One message's, or one command's, part of a group. It may run several times; only the last run counts."""

    key: Key
    run: Run
    event: Event | None = None
    order_id: UUID | None = None
    creates_row: bool = False
    redrive: int = 0
    context: dict[str, str] = field(default_factory=dict)
    """The trace context that the events inherit."""
    alone: bool = False
    """Retried, redelivered and replayed messages never share a transaction: their neighbours must not suffer."""
    replay: UUID | None = None
    """The replay that asks for a receipt."""
    applied: bool = False
    """Afterwards: whether it was done now; else it had been done before."""
    patience: float = 1200.0
    """Seconds to keep trying while the database is away. A broker takes a message back after 30 minutes."""
    said: Sequence[Outgoing] = ()
    """Afterwards: the messages that are now to be sent."""
    error: BaseException | None = None
    """Afterwards: what it raised when it ran alone, if it did."""
    over: bool = False
    """It has ended, or nobody waits for it any more: its message's connection was lost."""
    tell: Tell | None = None

    def end(self, said: Sequence[Outgoing] = (), error: BaseException | None = None) -> None:
        """Let whoever waits for it know how it ended; only the first end counts."""
        if not self.over:
            self.over, self.said, self.error = True, said, error
            tell, self.tell = self.tell, None  # whoever is told may keep this: a cycle would be left to the collector
            assert tell is not None  # noqa: S101 - whoever adds work says who is told
            tell(self)


Tell = Callable[[Work], None]
"""Told of a work that has ended. The members of a group end one after another, in one turn of the event loop."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How groups are made."""

    size: int
    grace: timedelta
    """How long the relay leaves a new outbox row alone."""
    row: type[OrderRow] | None = None
    preload: Preload | None = None


class GroupExecutor:
    """Takes the work that is ready and runs it in groups, one transaction at a time."""

    def __init__(  # noqa: PLR0913 - wired once, by name
        self,
        database: Database,
        rules: Rules,
        away: Away,
        tracing: Tracing,
        size: Callable[[int], None],
        *,
        gathering: float = LONGEST_GATHERING,
    ) -> None:
        """`size` is told the size of each group that was committed; `gathering` is in seconds, 0 if somebody waits."""
        self._database = database
        self._away = away
        self._rules = rules
        self._tracing = tracing
        self._size = size
        self._gathering = gathering
        self._waiting: deque[Work] = deque()
        self._ready = asyncio.Event()

    async def submit(self, work: Work) -> Sequence[Outgoing]:
        """Do the work in a group; returns the messages that are now to be sent. Raises what the work raised alone."""
        ended = asyncio.get_running_loop().create_future()
        self.add(work, lambda _: None if ended.done() else ended.set_result(None))
        try:
            await ended
        finally:
            work.over = True
        if work.error is not None:
            raise work.error
        return work.said

    def add(self, work: Work, tell: Tell) -> None:
        """Do the work in a group; `tell` is called when it has ended, and must not raise."""
        work.tell = tell
        self._waiting.append(work)
        self._ready.set()

    async def run(self) -> None:
        """Run groups for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            await self._ready.wait()
            group = self._take()
            if not self._waiting:
                self._ready.clear()
            if group:
                began = clock()
                await self._execute(group)
                if len(self._waiting) < self._rules.size:
                    await asyncio.sleep(min(clock() - began, self._gathering))

    def _take(self) -> list[Work]:
        """The next group: up to `size` works that may be together, or one that must be alone."""
        group: list[Work] = []
        while self._waiting and len(group) < self._rules.size:
            if self._waiting[0].alone:
                return group or [self._waiting.popleft()]
            work = self._waiting.popleft()
            if not work.over:
                group.append(work)
        return group

    async def _execute(self, group: Sequence[Work]) -> None:
        """Run a group to its end: in place while the database is away or busy, split when something raises."""
        try:
            said = await self._persist(group)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the work
            if len(group) == 1:
                group[0].end(error=error)
                return
            middle = len(group) // 2
            await self._execute(group[:middle])
            await self._execute(group[middle:])
        else:
            for work in group:
                if not work.over:
                    work.end(said[work.key])

    async def _persist(self, group: Sequence[Work]) -> dict[Key, list[Outgoing]]:
        """Attempt a group until its own fault, not the database's, stops it."""
        clock = asyncio.get_running_loop().time
        started, pause = clock(), FIRST_PAUSE
        while True:
            try:
                with self._tracing.committing([work.context for work in group]):
                    said = await self._attempt(group)
            except Exception as error:
                if is_cancelled():  # amid a statement, which may fail over its connection instead
                    raise asyncio.CancelledError from error
                away = is_unavailable(error) or isinstance(error, OSError)  # no handler calls out in a transaction
                self._away.report(away=away)
                if not away and not is_contention(error):
                    raise
                log.warning("group waits for the database", away=away, error=_brief(error), size=len(group))
                for work in group:
                    if away and clock() - started > work.patience:
                        work.end(error=DatabaseUnavailable(_brief(error)))
                group = [work for work in group if not work.over]
                if not group:
                    return {}
            else:
                self._away.report(away=False)
                self._size(len(group))
                return said
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _attempt(self, group: Sequence[Work]) -> dict[Key, list[Outgoing]]:
        """One transaction. Only frozen events and prepared values come in from an earlier attempt."""
        async with opened(self._database) as transaction:
            db, driver = transaction.session, transaction.driver
            wanted = {work.key: Wanted(work.order_id, work.creates_row) for work in reversed(group)}
            entered = await entry.enter(driver, wanted, self._rules.row)
            fresh, rows = entered.fresh, entered.rows
            db.info[BEGAN] = entered.began
            if self._rules.row is not None:
                keep(db, self._rules.row, rows.values())
            todo: dict[Key, Work] = {}
            for work in group:
                if work.key in fresh:
                    todo.setdefault(work.key, work)  # a second copy in the group shares the first one's fate
            if self._rules.preload is not None:
                batch = [(w.event, _row(rows, w)) for w in todo.values() if w.event is not None]
                if batch:
                    await self._rules.preload(db, batch)
            said: dict[Key, list[Outgoing]] = {}
            for key, work in todo.items():
                before = await receipts.rows_changed(db) if work.replay else 0
                events = await work.run(db, _row(rows, work))
                said[key] = [_outgoing(work, event) for event in events]
                if work.replay:
                    said[key].append(_receipt(work, changed=await receipts.rows_changed(db) > before))
            repeated = [work for work in group if work.key not in fresh]
            receipted = {work.key: [_receipt(work, changed=False)] for work in repeated if work.replay}
            messages = [message for batch in (*said.values(), *receipted.values()) for message in batch]
            said |= await _said_before(driver, [work.key for work in repeated])
            said |= {key: [*said[key], *receipt] for key, receipt in receipted.items()}
            await store_all(db, [outbox.append(messages, self._rules.grace)] if messages else ())
            await edge.commit(transaction, edge.Step.GROUP_COMMIT)
        for work in todo.values():
            work.applied = True
        return said


def _row(rows: Mapping[UUID, OrderRow], work: Work) -> OrderRow | None:
    return None if work.order_id is None else rows.get(work.order_id)


def command_key(name: str) -> Key:
    """A key for work that no message asked for; it tells, after a lost COMMIT, whether the work was done."""
    return Key(uuid4(), name, 0)


def _receipt(work: Work, *, changed: bool) -> Outgoing:
    assert work.replay is not None  # noqa: S101 - only a replay gets a receipt
    receipt = receipts.receipt(work.replay, work.key, changed=changed)
    return outbox.outgoing(receipt, cause=work.event, redrive=0, context=work.context)


def _outgoing(work: Work, said: Event | Again) -> Outgoing:
    event, redrive = (said.event, said.redrive) if isinstance(said, Again) else (said, work.redrive)
    context = dict(said.context) if isinstance(said, Again) and said.context else work.context
    return outbox.outgoing(event, cause=work.event, redrive=redrive, context=context)


async def _said_before(driver: Driver, keys: Sequence[Key]) -> dict[Key, list[Outgoing]]:
    """For messages applied earlier: what they caused that no broker has confirmed, to be sent before the ack."""
    if not keys:
        return {}
    unsent = await outbox.unsent_by_cause(driver, {key.event_id for key in keys})
    return {key: [message for message in unsent if message.cause_id == key.event_id] for key in keys}


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {in_a_line(error)}"
