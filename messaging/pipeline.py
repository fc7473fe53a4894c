"""One message's way, from its delivery to its acknowledgement."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from faststream import BaseMiddleware

from contracts.event import Event, OrderEvent
from messaging import edge, logs, suspects
from messaging.away import Away
from messaging.database import Database, DatabaseUnavailable, is_unavailable
from messaging.envelope import Envelope, Poison, read_envelope, read_event
from messaging.inbox import Key
from messaging.lane import Lane
from messaging.limits import TimeLimit
from messaging.metrics import Metrics, Outcome
from messaging.order_row import OrderRow
from messaging.outbox import Outgoing
from messaging.outcome import Again, Retry, Wait
from messaging.retry import RetryPolicy, reason_of
from messaging.signature import Handler, Prepare, Signature
from messaging.tracing import Tracing
from messaging.unit import GroupExecutor, Work

if TYPE_CHECKING:
    from sqlmodel.ext.asyncio.session import AsyncSession

    from messaging.courier import Courier

log = structlog.get_logger(__name__)

T = TypeVar("T")
P = TypeVar("P")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between attempts to publish, doubling."""

LONGEST_HOLD = 1200.0
"""Seconds that a message is held here while what it needs is away; the broker takes it back after 30 minutes."""

_envelope: ContextVar[Envelope] = ContextVar("envelope")


class NotRunning(Exception):  # noqa: N818 - a state
    """The service has stopped, or was never started."""


class TakeBack(Exception):  # noqa: N818 - an outcome
    """The message was held so long that the broker must have it back."""


class PrepareTimeout(Retry):
    """A remote call did not answer in time."""


class _Hold:
    """How long one delivery may be kept here."""

    def __init__(self, seconds: float) -> None:
        self.until = asyncio.get_running_loop().time() + seconds

    def check(self, reason: Exception, ahead: float = 0.0) -> None:
        """Raise TakeBack if, so many seconds from now, it has been kept long enough."""
        if asyncio.get_running_loop().time() + ahead >= self.until:
            raise TakeBack from reason


@dataclass(frozen=True, slots=True)
class Route:
    """One event in one service: its queue, its handler, its retries."""

    event: type[Event]
    queue: str
    handler: Handler
    signature: Signature
    prepare: Prepare | None
    retry: RetryPolicy


class Pipeline:
    """Receive, prepare, apply in a group, send what was said, acknowledge."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        database: Database,
        prepare_timeout: float,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._routes = routes
        self._database = database
        self._preparing = TimeLimit(prepare_timeout)
        self._metrics = metrics
        self._tracing = tracing
        self.away = Away()
        self.lane = Lane()
        self._first_time = asyncio.Semaphore(suspects.MOST_TOGETHER)
        self.executor: GroupExecutor | None = None
        self.courier: Courier | None = None
        self.mark_sent: Callable[[Sequence[Outgoing]], None] = lambda _: None
        self.idle = asyncio.Event()
        """Set while no message is in progress."""
        self.idle.set()
        self.in_progress = 0

    def decoder(self, route: Route) -> Callable[[Any], Awaitable[Event]]:
        """FastStream's decoder for a queue: bytes to the contract's event. Raises Poison."""

        async def decode(message: Any) -> Event:
            return read_event(route.event, message)

        return decode

    def knows(self, queue: str) -> bool:
        """Whether a handler receives from this queue."""
        return queue in self._routes

    async def consume(self, route: Route, event: Event) -> None:
        """What the typed subscriber of a queue does with an event. Raises NotRunning unless the service runs."""
        self.running(self.executor)
        envelope = _envelope.get()
        hold = _Hold(LONGEST_HOLD)
        while True:
            try:
                await self._handle(route, event, envelope, hold)
            except Wait as wait:
                log.warning("message is held", reason=str(wait), seconds=wait.seconds)
                hold.check(wait, wait.seconds)
                await asyncio.sleep(wait.seconds)
            else:
                return

    async def _handle(self, route: Route, event: Event, envelope: Envelope, hold: _Hold) -> None:
        """Apply an ordinary message beside others, a redelivered one that was noted before alone.

        One that comes again for the first time may just have been waiting in a process that died, or whose connection
        was lost, as hundreds at once do: it is noted, and runs beside others.
        """
        if not envelope.redelivered:
            async with self.lane.shared():
                await self._apply(route, event, envelope, hold)
            return
        key = Key(event.event_id, route.queue, envelope.redrive)
        async with self._first_time, self.lane.shared():
            if await self._when_back(lambda: suspects.note_first(self._database, key), hold):
                await self._apply_noted(route, event, envelope, hold, key)
                return
        async with self.lane.alone():
            await self._when_back(lambda: suspects.note(self._database, key), hold)
            await self._apply_noted(route, event, envelope, hold, key)

    async def _apply_noted(self, route: Route, event: Event, envelope: Envelope, hold: _Hold, key: Key) -> None:
        try:
            await self._apply(route, event, envelope, hold)
        finally:
            await self._when_back(lambda: suspects.clear(self._database, key), hold)

    async def _apply(self, route: Route, event: Event, envelope: Envelope, hold: _Hold) -> None:
        prepared = await self._when_back(lambda: self.prepare(route, event), hold)
        about = logs.subject()
        work = self.work(route, event, envelope, prepared, about)
        await self.send(await self.running(self.executor).submit(work))
        self.count(route, event, work, about)

    def work(
        self, route: Route, event: Event, envelope: Envelope, prepared: object, about: logs.Subject | None
    ) -> Work:
        """The message's part of a group. Lines that its handler writes are about `about`."""
        return Work(
            key=Key(event.event_id, route.queue, envelope.redrive),
            run=_bind(route, event, prepared, about),
            event=event,
            order_id=event.order_id if isinstance(event, OrderEvent) else None,
            creates_row=route.signature.creates_row,
            redrive=envelope.redrive,
            context=self._tracing.context(envelope.headers),
            alone=envelope.redelivered or envelope.attempt > 0 or envelope.replay is not None,
            replay=envelope.replay,
        )

    def count(self, route: Route, event: Event, work: Work, about: logs.Subject | None) -> None:
        """Count a message that was handled."""
        series = self._metrics.queue(route.queue)
        outcome = Outcome.APPLIED if work.applied else Outcome.DUPLICATE
        if logs.details_are_told():
            with logs.about(about):
                log.debug("message handled", outcome=outcome)
        series.handled[outcome].inc()
        if work.redrive:
            series.redriven.inc()
        if work.applied:
            series.age.observe((datetime.now(UTC) - event.occurred_at).total_seconds())

    async def _when_back(self, work: Callable[[], Awaitable[T]], hold: _Hold) -> T:
        """Do something that needs the database; while it is away, wait for it and try again, as long as it may."""
        while True:
            try:
                return await work()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                hold.check(error)
                log.warning("message waits for the database", error=type(error).__name__)
            await asyncio.sleep(LONGEST_PAUSE)
            with contextlib.suppress(TimeoutError):  # the next attempt tells
                async with asyncio.timeout_at(hold.until):
                    await self.away.wait_until_back()

    async def prepare(self, route: Route, event: Event) -> object:
        """The handler's remote call: outside any transaction, bounded in time."""
        if route.prepare is None:
            return None
        edge.crash_point(f"{edge.Step.PREPARE}.before")
        try:
            with self._tracing.preparing(route.queue), self._preparing.bound():
                prepared = await route.prepare(event)
        except TimeoutError as error:
            raise PrepareTimeout(f"no answer within {self._preparing.seconds} s") from error
        edge.crash_point(f"{edge.Step.PREPARE}.after")
        return prepared

    @staticmethod
    def running(part: P | None) -> P:
        """That part of the running service. Raises NotRunning."""
        if part is None:
            msg = "the service is not running"
            raise NotRunning(msg)
        return part

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Send until each message is confirmed; what is held back meanwhile is only this one delivery."""
        waiting, pause = await self.send_once(messages), FIRST_PAUSE
        while waiting:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            waiting = await self.send_once(waiting)

    async def send_once(self, messages: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Send messages; returns those that were not confirmed, which the relay sends if nobody else does."""
        if not messages:
            return ()
        unsent = await self.running(self.courier).send(messages)
        missing = {message.id for message in unsent}
        self.mark_sent([message for message in messages if message.id not in missing])
        return unsent

    async def settle(self, queue: str, call_next: Callable[[Any], Awaitable[Any]], message: Any) -> Any:
        """Handle a delivered message to its end: applied, waiting in a tier, or parked. Only then is it acked."""
        started = self.started()
        about = logs.Subject(queue, self._routes[queue].event.name, message)
        try:
            with self._tracing.consuming(queue, message), logs.about(about):
                return await self._settle(self._routes[queue], call_next, message)
        finally:
            self.ended(queue, started)

    def started(self) -> float:
        """Another message is in progress; returns when that began, for `ended`."""
        self.in_progress += 1
        self.idle.clear()
        return time.monotonic()

    def ended(self, queue: str, began: float) -> None:
        """A message's handling has ended, in one way or another."""
        self._metrics.queue(queue).duration.observe(time.monotonic() - began)
        self.in_progress -= 1
        if not self.in_progress:
            self.idle.set()

    async def _settle(self, route: Route, call_next: Callable[[Any], Awaitable[Any]], message: Any) -> Any:
        try:
            envelope = read_envelope(route.queue, message)
            _envelope.set(envelope)
            result = await call_next(message)
        except NotRunning:
            raise  # unacked: it comes again, to a service that runs
        except Exception as error:  # noqa: BLE001 - every failure has a place to go
            await self.dispose(route, message, error)
            return None
        await self.acknowledge(message)
        return result

    async def dispose(self, route: Route, message: Any, error: BaseException) -> None:
        """Give a message that failed back, or set it aside and acknowledge it."""
        self._tracing.failed(error)
        if isinstance(error, DatabaseUnavailable | TakeBack):
            self._metrics.queue(route.queue).handled[Outcome.RETURNED].inc()
            await edge.requeue(message)
            return
        await self._set_aside(route, message, error)
        await self.acknowledge(message)

    @staticmethod
    async def acknowledge(message: Any) -> None:
        """Let the broker forget a message that was handled."""
        try:
            await edge.ack(message)
        except edge.AckLost as lost:
            log.info("message comes again", reason=str(lost))

    async def _set_aside(self, route: Route, message: Any, error: BaseException) -> None:
        """Publish a failed message to its next tier, or to its dead-letter queue; keep trying while nobody confirms."""
        envelope = _envelope_of(route, message)
        delay = route.retry.next_tier(envelope, error)
        alarm = delay is not None and route.retry.is_last(envelope)
        (log.error if alarm else log.warning)(
            "message parked" if delay is None else "message waits for a retry",
            delay=delay,
            error=type(error).__name__,
            reason=reason_of(error),
        )
        pause = FIRST_PAUSE
        while True:
            courier = self.running(self.courier)
            try:
                if delay is None:
                    await courier.park(message, envelope, error)
                else:
                    await courier.retry(message, envelope, error, delay)
            except edge.PublishFailed as failure:
                log.warning("message kept", error=str(failure))
                self._metrics.event(route.event.name).unconfirmed.inc()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                outcome = Outcome.PARKED if delay is None else Outcome.RETRIED
                self._metrics.queue(route.queue).handled[outcome].inc()
                return


def custody(pipeline: Pipeline) -> type[BaseMiddleware]:
    """FastStream's middleware that keeps a message until it is applied, waiting in a tier, or parked."""

    class Custody(BaseMiddleware):
        async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
            queue: str = self.context.get_local("handler_").queue.name
            if not pipeline.knows(queue):
                return await call_next(msg)  # a collector's
            return await pipeline.settle(queue, call_next, msg)

    return Custody


def _bind(
    route: Route, event: Event, prepared: object, about: logs.Subject | None
) -> Callable[[AsyncSession, OrderRow | None], Awaitable[Sequence[Event | Again]]]:
    async def run(db: AsyncSession, row: OrderRow | None) -> Sequence[Event]:
        with logs.about(about):  # the group's task is nobody's
            said = await route.handler(**route.signature.arguments(event, prepared, row, db))
        if said is None:
            return ()
        return (said,) if isinstance(said, Event) else said

    return run


def _envelope_of(route: Route, message: Any) -> Envelope:
    """The message's envelope; of a message whose headers are themselves poison, one that keeps them."""
    try:
        return read_envelope(route.queue, message)
    except Poison:
        return Envelope(route.queue, redrive=0, attempt=0, redelivered=False, headers=dict(message.headers))
