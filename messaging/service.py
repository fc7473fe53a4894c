"""A service: its handlers, and everything that lets them run safely."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache, cached_property
from typing import Any, cast
from uuid import UUID

import structlog
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, QueueType, RabbitQueue, RabbitRouter
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import RECEIPT
from contracts.event import Event
from messaging import logs, tracing
from messaging.asyncapi.factory import ServiceDocument
from messaging.broker import RECONNECT_INTERVAL, TwoConnectionBroker, amqp_url
from messaging.collector import PREFETCH as COLLECTOR_PREFETCH
from messaging.collector import Collector, DeadLetter, Store
from messaging.courier import EVENTS_EXCHANGE, Courier, RabbitCourier
from messaging.database import Database, DatabaseUnavailable
from messaging.edge import PublishFailed
from messaging.fast_path import FastPath
from messaging.health import Health
from messaging.intake import Intake
from messaging.management import user_of
from messaging.metrics import Metrics
from messaging.order_row import OrderRow
from messaging.outbox import Outgoing
from messaging.outcome import Again
from messaging.pipeline import NotRunning, Pipeline, Route, custody
from messaging.relay import Marker, Relay, prune
from messaging.retry import RetryPolicy
from messaging.settings import ServiceSettings
from messaging.signature import Handler, Prepare, read_signature
from messaging.supervisor import Supervisor
from messaging.topology import queue_name
from messaging.unit import GroupExecutor, Preload, Rules, Work, command_key
from messaging.wire import Wire

log = structlog.get_logger(__name__)

COMMAND_PATIENCE = 2.0
"""Seconds that a command waits for an absent database before it fails."""
_NEW_OBJECTS = 50_000
"""More containers than that let the garbage collector look at the young ones; Python's own number is 700.

What a process has in hand ends without it: with a tenth of this number it took a twentieth of a busy process' time.
"""


class NotSent(Exception):  # noqa: N818 - a state
    """The broker did not confirm a message that was put back."""


class NotConsuming(Exception):  # noqa: N818 - a state
    """A queue has no live consumer here, or the broker is away."""


class Service:
    """Handlers and their queues, on one broker and one database. Nothing connects before it is started."""

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        *,
        row: type[OrderRow] | None = None,
        preload: Preload | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.row = row
        self.preload = preload
        self.database = Database(settings.database_url.get_secret_value(), name=name, pool_size=settings.database_pool)
        self.routes: dict[str, Route] = {}
        self.publishers: dict[str, Any] = {}
        self.says: dict[str, type[Event]] = {}
        self.router = RabbitRouter()
        self.collects = False
        self._store: Store | None = None
        self._collector: Collector | None = None
        self.tracing = tracing.from_environment(name)
        self.metrics = Metrics(
            self.database, connected=lambda: self.broker.connected, in_progress=lambda: self._pipeline.in_progress
        )
        self._pipeline = Pipeline(self.routes, self.database, settings.prepare_timeout, self.metrics, self.tracing)
        self._fast_path = FastPath(self._pipeline, is_traced=self.tracing.is_on)
        self._workers: dict[str, Callable[[], Awaitable[None]]] = {}
        self._commands: GroupExecutor | None = None
        self._sending: set[asyncio.Task[Sequence[Outgoing]]] = set()
        self._drained = False
        self.broker = TwoConnectionBroker(
            amqp_url(settings.amqp_url.get_secret_value()),
            settings.amqp_nodes,
            fail_fast=False,
            reconnect_interval=RECONNECT_INTERVAL,
            graceful_timeout=None,
            app_id=name,
            apply_types=False,
            routers=[self.router],
            middlewares=[custody(self._pipeline)],
            logger=logging.getLogger(f"faststream.{name}"),
            log_level=logging.DEBUG,
            specification_url="amqp://localhost:5672",
        )
        self.intake = Intake(self.broker)
        checks = {"database": self.database.check, "broker": self._check_broker}
        self.health = Health(name, checks, self.metrics.page)
        self.publishes(RECEIPT)

    def handle(self, handler: Handler, *, prepare: Prepare | None = None, retry: RetryPolicy | None = None) -> None:
        """Consume the events that the handler's signature names, and publish those that it returns.

        Raises TypeError for a signature that cannot be read, and ValueError for an event that has a handler already.
        """
        signature = read_signature(handler, self.row, prepare)
        policy = retry or RetryPolicy()
        if policy.tiers is None:
            policy = replace(policy, tiers=self.settings.retry_tiers)
        for event in signature.events:
            queue = queue_name(self.name, event.name)
            if queue in self.routes:
                msg = f"{queue} has two handlers"
                raise ValueError(msg)
            route = self.routes[queue] = Route(event, queue, handler, signature, prepare, policy)
            self.metrics.queue(queue)
            self._subscribe(route)
        self.publishes(*signature.returns)

    def publishes(self, *events: type[Event]) -> None:
        """Declare that the service says these events, besides those that its handlers return."""
        for event in events:
            if event.name not in self.publishers:
                self.says[event.name] = event
                self.metrics.event(event.name)
                self.publishers[event.name] = self.router.publisher(
                    exchange=EVENTS_EXCHANGE,
                    routing_key=event.name,
                    schema=event,
                    persist=True,
                    message_type=event.message_type(),
                    title=f"{self.name}.publishes.{event.name}",
                    description=event.__doc__,
                )

    def collect(self, queues: Iterable[str], store: Store) -> None:
        """Take every message out of these queues, whatever it is; each is acknowledged once `store` has returned."""
        self._store, self.collects = store, True
        for queue in queues:
            self._collect_from(queue)

    async def put_back(self, letter: DeadLetter, queue: str | None, replay_id: UUID) -> None:
        """Send a dead letter to that work queue again, under its own id; None sends it as an event, to all queues.

        Raises NotSent: it may have arrived, or not; sending it again is harmless.
        """
        courier = self._pipeline.courier
        if not isinstance(courier, RabbitCourier):
            msg = f"{self.name} is not running"
            raise NotSent(msg)
        try:
            await courier.put_back(letter, queue, replay_id)
        except PublishFailed as failure:
            raise NotSent(str(failure)) from failure

    def worker(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep a background task running while the service runs; when it fails it is started again."""
        self._workers[name] = work

    async def execute(self, work: Callable[[AsyncSession], Awaitable[Sequence[Event | Again]]]) -> None:
        """Run `work` and store the events that it returns, in one transaction; return once it is committed.

        Concurrent commands share transactions, and a failed one runs again alone, so `work` builds its rows anew
        on each call. The events are published right after, in the background; what is not confirmed at once is left
        to the relay. Raises what `work` raises, or DatabaseUnavailable.
        """
        if self._commands is None:
            msg = f"{self.name} is not running"
            raise DatabaseUnavailable(msg)

        async def run(db: AsyncSession, _: OrderRow | None) -> Sequence[Event | Again]:
            return await work(db)

        context = self.tracing.context({})
        command = Work(command_key("command"), run, context=context, patience=COMMAND_PATIENCE)
        said = await self._commands.submit(command)
        task = asyncio.create_task(self._pipeline.send_once(said))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def sent(self) -> None:
        """Wait until the events of the commands so far are published; raises what kept them from it."""
        await asyncio.gather(*self._sending)

    @contextlib.asynccontextmanager
    async def running(self, courier: Courier | None = None) -> AsyncGenerator[None]:
        """Everything but the broker: database, unit of work, outbox, workers, health. Tests give their own courier."""
        settings, supervisor = self.settings, Supervisor()
        self._drained = False
        marker = Marker(self.database)
        rules = Rules(settings.group_size, timedelta(seconds=settings.relay_grace), self.row, self.preload)
        away, sizes, together = self._pipeline.away, self.metrics.groups.observe, self.metrics.commands.observe
        deliveries = GroupExecutor(self.database, rules, away, self.tracing, sizes)
        self._commands = GroupExecutor(self.database, rules, away, self.tracing, together, gathering=0)
        self._pipeline.executor = deliveries
        self._pipeline.mark_sent = marker.add
        supervisor.start("deliveries", deliveries.run)
        supervisor.start("commands", self._commands.run)
        supervisor.start("marker", marker.run)
        if self._store is not None:
            self._collector = Collector(self._store, self._pipeline.away)
            supervisor.start("collector", self._collector.run)
        if courier is None:
            wire = Wire(EVENTS_EXCHANGE.name, lambda: self.broker.publishing_channel(EVENTS_EXCHANGE))
            rabbit = courier = RabbitCourier(
                cast("Any", self.broker),
                self.publishers,
                app=self.name,
                user=user_of(settings.amqp_url.get_secret_value()),
                wire=None if self.tracing.is_on else wire,
                publish_timeout=settings.publish_timeout,
                connected=lambda: self.broker.connected,
                renew=self.broker.renew_publishing,
                metrics=self.metrics,
                tracing=self.tracing,
            )
            relay = Relay(
                self.database,
                rabbit,
                marker,
                interval=settings.relay_interval,
                in_flight=lambda: {*rabbit.in_flight, *marker.pending},
                can_send=lambda: self.broker.connected,
            )
            supervisor.start("relay", relay.run)
            supervisor.start("away", lambda: away.keep(self.intake))
            supervisor.start("absences", lambda: self.metrics.watch(lambda: away.is_away))
            supervisor.start("prune", lambda: prune(self.database, timedelta(days=settings.retention_days)))
        self._pipeline.courier = courier
        for name, work in self._workers.items():
            supervisor.start(name, work)
        try:
            async with self.health.served(settings.http_host, settings.http_port):
                yield
        finally:
            await self._drain()
            self._commands = self._pipeline.executor = self._pipeline.courier = None
            await supervisor.stop()
            with contextlib.suppress(DatabaseUnavailable, DBAPIError, OSError):  # a mark that is lost is harmless
                await marker.flush()
            await self.database.close()
            await self.tracing.flush()

    @contextlib.asynccontextmanager
    async def lifespan(self, _: object = None) -> AsyncGenerator[None]:
        """FastAPI's lifespan: everything, with the broker started beside, so that orders are accepted without it."""
        logs.configure(self.name, self.settings.log_level, self.settings.log_format)
        _spare_the_collector()
        with logs.switchable(self.settings.log_level):
            async with self._started():
                yield

    @contextlib.asynccontextmanager
    async def _started(self) -> AsyncGenerator[None]:
        async with self.running():
            starting = asyncio.create_task(self.broker.start(), name="broker")
            starting.add_done_callback(_end_process_on_error)
            try:
                yield
            finally:
                starting.cancel()
                await self.intake.stop()
                await self._drain()
                await self.broker.stop()

    @cached_property
    def app(self) -> FastStream:
        """The FastStream application, for `faststream run` and `faststream docs gen`."""

        @contextlib.asynccontextmanager
        async def lifespan() -> AsyncGenerator[None]:
            logs.configure(self.name, self.settings.log_level, self.settings.log_format)
            _spare_the_collector()
            with logs.switchable(self.settings.log_level):
                async with self.running():
                    yield

        return FastStream(
            self.broker,
            lifespan=lifespan,
            on_shutdown=[self.intake.stop, self._drain],
            logger=None,
            specification=ServiceDocument(self),
        )

    async def _drain(self) -> None:
        """Wait once, at most `shutdown_timeout` seconds, for messages in progress and events being sent."""
        if self._drained:
            return
        self._drained = True
        waiting = [asyncio.create_task(self._pipeline.idle.wait()), *self._sending]
        _, late = await asyncio.wait(waiting, timeout=self.settings.shutdown_timeout)
        for task in late:
            task.cancel()
        await self.intake.settle()

    def _subscribe(self, route: Route) -> None:
        async def consume(event: Event) -> None:
            await self._pipeline.consume(route, event)

        consume.__name__ = route.handler.__name__
        consume.__doc__ = route.handler.__doc__
        consume.__annotations__ = {"event": route.event, "return": None}
        subscriber = self.router.subscriber(
            RabbitQueue(
                route.queue, queue_type=QueueType.QUORUM, durable=True, routing_key=route.event.name, declare=False
            ),
            exchange=EVENTS_EXCHANGE,
            channel=Channel(prefetch_count=self.settings.prefetch),
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,  # whoever asks for one names its queue, and a refused publish ends the channel for all
            decoder=self._pipeline.decoder(route),
            title=route.queue,
            description=route.handler.__doc__,
        )
        subscriber(consume)
        subscriber.consume = cast("Any", self._fast_path.consumer(route, _whenever_it_comes(subscriber)))

    def _collect_from(self, queue: str) -> None:
        async def take(message: Any) -> None:
            if self._collector is not None:  # else it stays unacknowledged, and comes again
                self._collector.take(queue, message)

        async def as_it_is(message: Any) -> Any:
            return message

        take.__name__ = "take_custody"
        subscriber = self.router.subscriber(
            RabbitQueue(queue, queue_type=QueueType.QUORUM, durable=True, declare=False),
            channel=Channel(prefetch_count=COLLECTOR_PREFETCH),
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,  # whoever asks for one names its queue, and a refused publish ends the channel for all
            decoder=as_it_is,
            title=queue,
        )
        subscriber(take)
        subscriber.consume = cast("Any", _whenever_it_comes(subscriber))

    async def _check_broker(self) -> None:
        if not self.broker.connected:
            msg = "the broker is out of reach"
            raise NotConsuming(msg)
        if idle := await self.intake.idle_queues():
            msg = f"nobody consumes {', '.join(idle)}"
            raise NotConsuming(msg)


def _whenever_it_comes(subscriber: Any) -> Callable[[Any], Awaitable[None]]:
    """FastStream's way of a delivery, for those, too, that come ahead of its own word that the subscriber runs.

    `subscriber.consume` drops these unacknowledged, and nobody has them again before the connection ends.
    """

    async def consume(raw: Any) -> None:
        with contextlib.suppress(NotRunning):  # it stays unacknowledged, and comes again, to a service that runs
            await subscriber.process_message(raw)

    return consume


def _end_process_on_error(starting: asyncio.Task[None]) -> None:
    """A broker that refuses (missing topology, wrong password) ends the process; one that is away is waited for."""
    if not starting.cancelled() and starting.exception() is not None:
        log.critical("broker refused", error=str(starting.exception()))
        os.kill(os.getpid(), signal.SIGTERM)


@cache
def _spare_the_collector() -> None:
    """Keep Python's garbage collector off what is there for good: once a process.

    A full collection walks every module, model and route that was ever made, and stops the service for 0.1 s.
    https://docs.python.org/3/library/gc.html#gc.freeze
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
