"""What a service counts and measures, for Prometheus: `/metrics` on its HTTP port.

Each service has a registry of its own, so that several can run in one process. The only labels are `queue`, `event`
and `outcome`, whose values the code knows beforehand: every series is there, at zero, when the service starts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from messaging import outbox, suspects
from messaging.database import Database, is_unavailable

log = structlog.get_logger(__name__)

AGES = (0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1200.0)
"""Seconds: from a pipeline that is idle, over the retry tiers, to the first deadline of an order."""
DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)
"""Seconds: from a group in memory to the longest remote call."""
SIZES = (1, 2, 5, 10, 25, 50, 100, 250)
FRESH = 1.0
"""Seconds for which what was counted in the database is told again, however often somebody asks."""
COUNT_TIMEOUT = 3.0
TICK = 1.0
"""Seconds: how exactly absences are measured."""


class Outcome(StrEnum):
    """What became of a delivered message."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """Applied before: nothing changed, what was unsent was sent."""
    RETRIED = "retried"
    """It failed, and waits in a tier for its next attempt."""
    PARKED = "parked"
    """It failed for good, and is in its dead-letter queue."""
    RETURNED = "returned"
    """Given back to its queue, since the database was away too long. No attempt was counted."""


class Answer(StrEnum):
    """How a request ended."""

    GIVEN = "given"
    REFUSED = "refused"
    """The client's mistake, or too much of it: 4xx."""
    FAILED = "failed"
    """Ours: 5xx."""

    @classmethod
    def of(cls, status: int) -> Answer:
        """What an HTTP status means."""
        return cls.GIVEN if status < 400 else cls.REFUSED if status < 500 else cls.FAILED  # noqa: PLR2004 - HTTP's own


@dataclass(frozen=True, slots=True)
class OfQueue:
    """The series of one work queue, looked up once."""

    handled: Mapping[Outcome, Counter]
    age: Histogram
    duration: Histogram
    redriven: Counter


@dataclass(frozen=True, slots=True)
class OfEvent:
    """The series of one event that is said, looked up once."""

    published: Counter
    unconfirmed: Counter


class Metrics:
    """The instruments of one service."""

    def __init__(self, database: Database, connected: Callable[[], bool], in_progress: Callable[[], float]) -> None:
        disable_created_metrics()  # a second series for each counter, which tells what the start time tells
        self.registry = registry = CollectorRegistry()
        self._queues: dict[str, OfQueue] = {}
        self._events: dict[str, OfEvent] = {}
        handled = "Messages that were handled to their end, by what became of them"
        self._handled = Counter("orders_handled", handled, ["queue", "outcome"], registry=registry)
        age = "Seconds from the moment that an event tells of until it was applied here and what follows was confirmed"
        self._age = Histogram("orders_age_seconds", age, ["queue"], buckets=AGES, registry=registry)
        duration = "Seconds from a message's delivery to its acknowledgement"
        self._duration = Histogram("orders_handling_seconds", duration, ["queue"], buckets=DURATIONS, registry=registry)
        redriven = "Messages that belong to a re-drive of an overdue order"
        self._redriven = Counter("orders_redriven", redriven, ["queue"], registry=registry)
        published = "Events whose publishing the broker confirmed"
        self._published = Counter("orders_published", published, ["event"], registry=registry)
        unconfirmed = "Attempts to publish an event, or to set a failed message aside, that the broker did not confirm"
        self._unconfirmed = Counter("orders_unconfirmed", unconfirmed, ["event"], registry=registry)
        self.groups = Histogram(
            "orders_group_size", "Messages that shared a transaction", buckets=SIZES, registry=registry
        )
        self.commands = Histogram(
            "orders_command_group_size", "Commands that shared a transaction", buckets=SIZES, registry=registry
        )
        in_hand = Gauge("orders_in_progress", "Messages in progress", registry=registry)
        in_hand.set_function(in_progress)
        self._connected = connected
        broker = Gauge("orders_broker_up", "Whether both connections to the broker are open", registry=registry)
        broker.set_function(lambda: float(connected()))
        self._broker_away = Counter("orders_broker_away_seconds", "Seconds without the broker", registry=registry)
        self._database_away = Counter("orders_database_away_seconds", "Seconds without the database", registry=registry)
        Gauge("orders_start_time_seconds", "When the service was made, in Unix time", registry=registry).set(
            time.time()
        )
        self._counts = _Counts(database)
        registry.register(self._counts)
        ProcessCollector(registry=registry)

    def queue(self, name: str) -> OfQueue:
        """The series of a work queue, made when it is named first."""
        found = self._queues.get(name)
        if found is None:
            found = self._queues[name] = OfQueue(
                {outcome: self._handled.labels(name, outcome) for outcome in Outcome},
                self._age.labels(name),
                self._duration.labels(name),
                self._redriven.labels(name),
            )
        return found

    def event(self, name: str) -> OfEvent:
        """The series of an event that is published here, made when it is named first."""
        found = self._events.get(name)
        if found is None:
            found = self._events[name] = OfEvent(self._published.labels(name), self._unconfirmed.labels(name))
        return found

    @cached_property
    def requests(self) -> Mapping[Answer, Histogram]:
        """The series of REST requests, made when they are asked for first."""
        what = "Seconds until a request's answer begins, by how it ends"
        made = Histogram("orders_request_seconds", what, ["outcome"], buckets=DURATIONS, registry=self.registry)
        return {answer: made.labels(answer) for answer in Answer}

    async def watch(self, database_is_away: Callable[[], bool]) -> None:
        """Measure absences, for ever."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            if not self._connected():
                self._broker_away.inc(now - before)
            if database_is_away():
                self._database_away.inc(now - before)
            before = now

    async def page(self, request: Request) -> Response:
        """All numbers, in the format that is asked for: Prometheus' own or OpenMetrics."""
        await self._counts.renew()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.registry), media_type=content_type)


class _Counts(Collector):
    """What is counted in the database when somebody asks. Absent while the database is: better none than old ones."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: tuple[int, float, int] | None = None
        self._renewed = float("-inf")
        self._renewing = asyncio.Lock()

    async def renew(self) -> None:
        async with self._renewing:
            if time.monotonic() - self._renewed >= FRESH:
                self._found = await self._count()
                self._renewed = time.monotonic()

    async def _count(self) -> tuple[int, float, int] | None:
        try:
            async with asyncio.timeout(COUNT_TIMEOUT), self._database.session() as db:
                core = await db.connection()
                return *await outbox.backlog(core), await suspects.count(core)
        except Exception as error:
            if not is_unavailable(error) and not isinstance(error, OSError):
                raise
            log.info("numbers of the database are missing", error=error)
            return None

    @override
    def collect(self) -> Iterator[Metric]:
        up = "Whether the database answered the last question for its numbers"
        yield GaugeMetricFamily("orders_database_up", up, value=float(self._found is not None))
        if self._found is not None:
            unsent, oldest, suspected = self._found
            yield GaugeMetricFamily("orders_outbox_unsent", "Events that no broker has confirmed yet", value=unsent)
            yield GaugeMetricFamily("orders_outbox_oldest_seconds", "The age of the oldest of them", value=oldest)
            redelivered = "Redelivered messages being handled, or whose handling ended their process"
            yield GaugeMetricFamily("orders_suspects", redelivered, value=suspected)
