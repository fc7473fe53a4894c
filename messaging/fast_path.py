"""The way of an ordinary message: nobody waits for it, it is carried along by its group.

FastStream gives each delivery a stack of contexts and middlewares, and a task that waits until the message is handled:
half of what a message costs. A first delivery that was never retried needs none of it. Its part of a group is queued,
and what the group says is published and acknowledged together. Everything else takes FastStream's way, through the
same pipeline: what is redelivered, retried, replayed, traced, unreadable or held, and every message in a test's broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from aio_pika import IncomingMessage

from contracts.event import Event
from messaging import edge, logs
from messaging.acks import Acks
from messaging.arrival import Arrival, as_it_arrives
from messaging.database import is_unavailable
from messaging.envelope import ATTEMPT, REPLAY, Envelope, Poison, read_envelope, read_event
from messaging.outbox import Outgoing
from messaging.outcome import Wait
from messaging.pipeline import FIRST_PAUSE, NotRunning, Pipeline, Route
from messaging.unit import Work

log = structlog.get_logger(__name__)

Consume = Callable[[IncomingMessage], Awaitable[Any]]


@dataclass(eq=False, slots=True)
class _Delivery:
    """A message in progress."""

    route: Route
    arrival: Arrival
    envelope: Envelope
    event: Event
    about: logs.Subject
    began: float
    slowly: Consume
    work: Work | None = None
    said: Sequence[Outgoing] = ()
    in_lane: bool = True
    ended: bool = False


class FastPath:
    """Carries ordinary messages of one service; hands all others on."""

    def __init__(self, pipeline: Pipeline, *, is_traced: bool) -> None:
        self._pipeline = pipeline
        self._is_traced = is_traced
        self._acks = Acks()
        self._applied: list[_Delivery] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def consumer(self, route: Route, slowly: Consume) -> Callable[[Any], Awaitable[None]]:
        """What takes the deliveries of this queue, instead of `slowly`, FastStream's own way."""

        def take(arrival: Arrival) -> Coroutine[Any, Any, None] | None:
            return self.take(route, slowly, arrival)

        return as_it_arrives(take)

    def take(self, route: Route, slowly: Consume, arrival: Arrival) -> Coroutine[Any, Any, None] | None:
        """Let a delivery join a group; it is acknowledged when that has ended. Returns what to wait for first."""
        headers, pipeline = arrival.headers, self._pipeline
        if self._is_traced or arrival.redelivered or ATTEMPT in headers or REPLAY in headers or not pipeline.executor:
            return self._slowly(slowly, arrival)
        try:
            envelope, event = read_envelope(route.queue, arrival), read_event(route.event, arrival)
        except Poison:
            return self._slowly(slowly, arrival)
        if not pipeline.lane.try_share():  # a suspect is, or waits to be, alone
            return self._slowly(slowly, arrival)
        about = logs.Subject(route.queue, event.name, arrival)
        delivery = _Delivery(route, arrival, envelope, event, about, pipeline.started(), slowly)
        if route.prepare is not None:
            return self._prepare(delivery)
        try:
            self._join(delivery, None)
        except Exception as error:  # noqa: BLE001 - every failure has a place to go
            return self._fail(delivery, error)
        return None

    async def _prepare(self, delivery: _Delivery) -> None:
        try:
            with logs.about(delivery.about):
                prepared = await self._pipeline.prepare(delivery.route, delivery.event)
                self._join(delivery, prepared)
        except Exception as error:  # noqa: BLE001 - every failure has a place to go
            await self._fail(delivery, error)
        except asyncio.CancelledError:  # the connection that brought it is lost: it comes again
            self._end(delivery)
            raise

    def _join(self, delivery: _Delivery, prepared: object) -> None:
        pipeline = self._pipeline
        delivery.work = work = pipeline.work(
            delivery.route, delivery.event, delivery.envelope, prepared, delivery.about
        )
        pipeline.running(pipeline.executor).add(work, partial(self._decided, delivery))

    def _decided(self, delivery: _Delivery, work: Work) -> None:
        """A group has ended; its members come one after another, in one turn of the event loop."""
        if work.error is not None:
            self._start(self._fail(delivery, work.error))
            return
        delivery.said = work.said
        if not self._applied:
            asyncio.get_running_loop().call_soon(self._finish_group)
        self._applied.append(delivery)

    def _finish_group(self) -> None:
        group, self._applied = self._applied, []
        self._start(self._finish(group))

    async def _finish(self, group: Sequence[_Delivery]) -> None:
        """Publish what a group said, all in flight together, and acknowledge it."""
        try:
            said = [message for delivery in group for message in delivery.said]
            unsent = {message.id for message in await self._pipeline.send_once(said)}
        except Exception as error:  # noqa: BLE001 - every failure has a place to go
            for delivery in group:
                self._start(self._fail(delivery, error))
            return
        done: list[_Delivery] = []
        for delivery in group:
            waiting = [message for message in delivery.said if message.id in unsent] if unsent else ()
            if waiting:
                self._start(self._send_again(delivery, waiting))
            else:
                done.append(delivery)
        await self._acknowledge(done)

    async def _send_again(self, delivery: _Delivery, messages: Sequence[Outgoing]) -> None:
        """Send what was not confirmed until it is; what is held back meanwhile is only this one delivery."""
        try:
            await asyncio.sleep(FIRST_PAUSE)
            await self._pipeline.send(messages)
        except Exception as error:  # noqa: BLE001 - as above
            await self._fail(delivery, error)
        else:
            await self._acknowledge([delivery])

    async def _acknowledge(self, deliveries: Sequence[_Delivery]) -> None:
        for delivery in deliveries:
            assert delivery.work is not None  # noqa: S101 - its group has ended well
            self._pipeline.count(delivery.route, delivery.event, delivery.work, delivery.about)
        try:
            await edge.ack_batch(self._acks, [delivery.arrival for delivery in deliveries])
        except edge.AckLost as lost:
            log.info("messages come again", reason=str(lost), most=len(deliveries))
        finally:
            for delivery in deliveries:
                self._end(delivery)

    async def _slowly(self, slowly: Consume, arrival: Arrival) -> None:
        try:
            await slowly(arrival.incoming)
        finally:
            self._acks.note(arrival.incoming)

    async def _fail(self, delivery: _Delivery, error: BaseException) -> None:
        """What is held, or waits for its database, does so by FastStream's way; the rest is given back or set aside."""
        self._leave(delivery)
        try:
            if isinstance(error, Wait) or (delivery.work is None and is_unavailable(error)):
                await delivery.slowly(delivery.arrival.incoming)
            elif not isinstance(error, NotRunning):  # else unacknowledged: it comes again, to a service that runs
                with logs.about(delivery.about):
                    await self._pipeline.dispose(delivery.route, delivery.arrival.message, error)
        finally:
            self._acks.note(delivery.arrival.incoming)
            self._end(delivery)

    def _leave(self, delivery: _Delivery) -> None:
        if delivery.in_lane:
            delivery.in_lane = False
            self._pipeline.lane.leave()

    def _end(self, delivery: _Delivery) -> None:
        self._leave(delivery)
        if not delivery.ended:
            delivery.ended = True
            self._pipeline.ended(delivery.route.queue, delivery.began)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
