"""From where on something is an alarm: every queue, tier, service and objective of the document has its own.

A threshold is never a bare number: its formula says what it follows from. Each kind of alarm has a page in
docs/runbooks, named like the kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from messaging.topology import Queue
from operations.monitoring import metrics, objectives
from operations.monitoring.described import NOBODY, Described, seconds_of_tier
from operations.monitoring.metrics import Metric, Sample

ORDERS_DATABASE = "order_api"
"""The service whose database has the orders and their facts."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What alarms of one kind say. `name` is also their runbook page's."""

    name: str
    says: str
    minutes: int
    """For how long it must hold, without a break."""
    urgent: bool = False
    """Whether somebody is to be woken; anything else waits for the morning."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A threshold and why it is what it is."""

    value: float
    formula: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm: on one metric, of one queue, service or source if the metric has a dimension."""

    kind: Kind
    metric: Metric
    bound: Bound
    of: str | None = None
    below: bool = False
    """Whether it is too little that is wrong; otherwise too much."""
    silence_is_bad: bool = False
    """Whether an absent metric counts as wrong, too."""
    percent: float | None = None
    """Which percentile of a distribution is compared."""

    @property
    def name(self) -> str:
        """Unique among all alarms."""
        return f"{self.kind.name} {self.of}" if self.of else self.kind.name

    @property
    def condition(self) -> str:
        """The comparison, in words and numbers."""
        percentile = f" p{self.percent:g}" if self.percent is not None else ""
        return f"{self.metric.name}{percentile} {'<' if self.below else '>'} {self.bound.value:g}"

    def holds(self, samples: Iterable[Sample]) -> bool:
        """Whether its condition holds in a snapshot, for however short a time."""
        for sample in samples:
            if sample.of == self.of and sample.metric == self.metric:
                value = sample.value if self.percent is None else sample.percentile(self.percent)
                if value is not None:
                    return value < self.bound.value if self.below else value > self.bound.value
        return False


def times(factor: float, what: str, seconds: float, why: str) -> Bound:
    """A rate times a duration."""
    value = factor * seconds
    return Bound(value, f"{factor:g} {what} * {seconds:g} s {why} = {value:g}")


def any_at_all(why: str) -> Bound:
    """One is too many."""
    return Bound(0, f"0: {why}")


QUEUE_DEEP = Kind("queue-deep", "More messages wait than come in a minute at peak.", minutes=5)
QUEUE_OLD = Kind("queue-old", "The oldest message has waited too long: nothing moves, or too slowly.", 2, urgent=True)
WITHOUT_CONSUMERS = Kind("queue-without-consumers", "Nobody consumes the queue.", 2, urgent=True)
UNACCOUNTED = Kind("messages-unaccounted", "The broker holds messages that it can neither deliver nor dead-letter.", 3)
DEAD_LETTERS_WAITING = Kind("dead-letters-waiting", "Nobody takes dead letters out of the dead-letter queue.", 5)
DEAD_LETTERS_OPEN = Kind("dead-letters-open", "Messages could not be handled and wait for a person.", 5)
UNROUTED = Kind("unrouted-events", "An event was published that no queue is bound to.", 5)
TIER_FULL = Kind("retry-tier-full", "A retry tier is almost full: soon the broker refuses what fails.", 1, urgent=True)
TIER_STUCK = Kind("retry-tier-stuck", "Messages stay in a retry tier for longer than its delay.", 2, urgent=True)
OUTBOX_STUCK = Kind("outbox-stuck", "Events are stored but not published.", 1, urgent=True)
OUTBOX_DEEP = Kind("outbox-deep", "So many events are unpublished that orders will be refused.", 1, urgent=True)
SERVICE_DOWN = Kind("service-down", "The service does not answer.", 2, urgent=True)
SERVICE_NOT_READY = Kind("service-not-ready", "The service is alive and says that it cannot work.", 3, urgent=True)
SERVICE_RESTARTS = Kind("service-restarts", "The service ends again and again.", 1)
ORDERS_LATE = Kind("orders-late", "Too many orders are not final in time.", 5, urgent=True)
LATENCY_HIGH = Kind("latency-high", "Orders take longer than they used to.", 5)
ORDERS_OVERDUE = Kind("orders-overdue", "Orders are past their deadline, and nobody drives them again.", 5, urgent=True)
ORDERS_REDRIVEN = Kind("orders-redriven", "Orders had to be driven again: something was lost, or is stuck.", 5)
AUDIT_VIOLATION = Kind("audit-violation", "Money or stock does not add up.", 1, urgent=True)
TOPOLOGY_DRIFT = Kind("topology-drift", "The broker is not as the AsyncAPI document says.", 3, urgent=True)
SOURCE_UNREADABLE = Kind("source-unreadable", "Monitoring cannot read one of its sources.", 5)
MONITORING_SILENT = Kind("monitoring-silent", "Monitoring itself says nothing.", 3, urgent=True)

KINDS = tuple(value for value in vars().copy().values() if isinstance(value, Kind))
"""All of them; each has a runbook page."""


def alarms_of(described: Described) -> tuple[Alarm, ...]:
    """All alarms of the documented system."""
    return (
        *(alarm for queue in described.queues for alarm in _of_queue(queue)),
        *(alarm for service in described.services for alarm in _of_service(service)),
        *_of_objectives(),
        *(_unreadable(source) for source in sources_of(described)),
    )


def sources_of(described: Described) -> tuple[str, ...]:
    """The names of what monitoring reads."""
    return ("rabbitmq", "orders", "services", "control-room", *(f"{each}-database" for each in described.services))


def _of_queue(queue: Queue) -> Iterator[Alarm]:
    yield Alarm(
        UNACCOUNTED,
        metrics.QUEUE_UNACCOUNTED,
        any_at_all("messages - ready - unacknowledged; what is left is out of reach"),
        queue.name,
    )
    match queue.kind:
        case "work":
            yield from _of_work_queue(queue.name)
        case "dead-letter":
            bound = any_at_all("operations takes every dead letter into custody within seconds")
            yield Alarm(DEAD_LETTERS_WAITING, metrics.QUEUE_MESSAGES, bound, queue.name)
        case "retry":
            yield from _of_tier(queue)
        case "unrouted":
            bound = any_at_all("every event of the document has a queue")
            yield Alarm(UNROUTED, metrics.QUEUE_MESSAGES, bound, queue.name)
            yield Alarm(UNROUTED, metrics.DEAD_LETTERS_OPEN, bound, NOBODY)


def _of_work_queue(queue: str) -> Iterator[Alarm]:
    deep = times(objectives.PEAK_RATE, "orders/s at peak", objectives.BEHIND, "that a queue may lag")
    old = Bound(objectives.BEHIND, f"{objectives.BEHIND} s that a queue may lag")
    yield Alarm(QUEUE_DEEP, metrics.QUEUE_READY, deep, queue)
    yield Alarm(QUEUE_OLD, metrics.QUEUE_OLDEST_AGE, old, queue)
    at_least_one = Bound(1, "1: one replica is the least that can work")
    yield Alarm(WITHOUT_CONSUMERS, metrics.QUEUE_CONSUMERS, at_least_one, queue, below=True, silence_is_bad=True)


def _of_tier(tier: Queue) -> Iterator[Alarm]:
    most, delay = int(tier.arguments["x-max-length"]), seconds_of_tier(tier)
    full = Bound(most * 80 / 100, f"80 % of x-max-length {most} = {most * 80 / 100:g}")
    late = delay + objectives.BEHIND
    stuck = Bound(late, f"{delay:g} s delay + {objectives.BEHIND} s that a queue may lag = {late:g}")
    yield Alarm(TIER_FULL, metrics.QUEUE_MESSAGES, full, tier.name)
    yield Alarm(TIER_STUCK, metrics.QUEUE_OLDEST_AGE, stuck, tier.name)


def _of_service(service: str) -> Iterator[Alarm]:
    yes = Bound(1, "1: it is, or it is not")
    back = Bound(objectives.RECONNECT, f"{objectives.RECONNECT} s in which a service is back after the broker is")
    half = objectives.REFUSING_AT / 2
    refusing = Bound(half, f"half of {objectives.REFUSING_AT} unsent events, at which orders are refused = {half:g}")
    yield Alarm(SERVICE_DOWN, metrics.SERVICE_UP, yes, service, below=True, silence_is_bad=True)
    yield Alarm(SERVICE_NOT_READY, metrics.SERVICE_READY, yes, service, below=True)
    yield Alarm(SERVICE_RESTARTS, metrics.SERVICE_RESTARTS, Bound(2, "2 in 15 minutes: a deploy and a mishap"), service)
    yield Alarm(OUTBOX_STUCK, metrics.OUTBOX_OLDEST_AGE, back, service)
    yield Alarm(OUTBOX_DEEP, metrics.OUTBOX_BACKLOG, refusing, service)
    bound = any_at_all("each is an order, or a part of one, that is not finished")
    yield Alarm(DEAD_LETTERS_OPEN, metrics.DEAD_LETTERS_OPEN, bound, service)


def _of_objectives() -> Iterator[Alarm]:
    percent, within, typical = objectives.ON_TIME_PERCENT, objectives.FINAL_WITHIN, objectives.TYPICALLY_WITHIN
    on_time = Bound(percent, f"objective: {percent} % of orders are final within {within} s")
    half = Bound(typical, f"objective: half of the orders are final within {typical} s")
    overdue = any_at_all("the deadline worker looks every 5 s and moves each deadline it finds")
    redriven = any_at_all("a deadline is longer than all retries together")
    violation = any_at_all("accepted means finished, once")
    drift = any_at_all("the document is what the broker is declared from")
    silent = Bound(1, "1: every snapshot says it")
    yield Alarm(ORDERS_LATE, metrics.ORDERS_ON_TIME, on_time, below=True)
    yield Alarm(LATENCY_HIGH, metrics.END_TO_END_LATENCY, half, percent=50.0)
    yield Alarm(ORDERS_OVERDUE, metrics.ORDERS_OVERDUE, overdue)
    yield Alarm(ORDERS_REDRIVEN, metrics.ORDERS_REDRIVEN, redriven)
    yield Alarm(AUDIT_VIOLATION, metrics.AUDIT_VIOLATIONS, violation)
    yield Alarm(TOPOLOGY_DRIFT, metrics.TOPOLOGY_DRIFT, drift)
    yield Alarm(MONITORING_SILENT, metrics.HEARTBEAT, silent, below=True, silence_is_bad=True)


def _unreadable(source: str) -> Alarm:
    bound = any_at_all("it is read, or it is not")
    return Alarm(SOURCE_UNREADABLE, metrics.SOURCE_UNREADABLE, bound, source, silence_is_bad=True)
