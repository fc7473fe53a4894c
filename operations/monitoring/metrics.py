"""Every metric there is: its name, its unit, what it is told apart by. Nothing else in the system makes one up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Unit(StrEnum):
    """A unit, by CloudWatch's name."""

    COUNT = "Count"
    SECONDS = "Seconds"
    PER_SECOND = "Count/Second"
    PERCENT = "Percent"
    YES_NO = "None"
    """1 or 0."""


_SUFFIXES = {Unit.SECONDS: "_seconds", Unit.PER_SECOND: "_per_second", Unit.PERCENT: "_percent"}
Dimension = Literal["Queue", "Service", "Status", "Step", "Source"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. Every sample of it has one value for the dimension, if it has one."""

    name: str
    unit: Unit
    means: str
    dimension: Dimension | None = None
    distribution: bool = False
    """Whether a sample holds many observations, of which percentiles are of interest."""

    @property
    def prometheus(self) -> str:
        """Its name in Prometheus: `orders_system_queue_oldest_age_seconds` for QueueOldestAge.

        What a service counts itself is named otherwise: operations serves both at one address.
        """
        return f"orders_system_{re.sub(r'(?<!^)(?=[A-Z])', '_', self.name).lower()}{_SUFFIXES.get(self.unit, '')}"

    @property
    def label(self) -> str | None:
        """Its dimension's name in Prometheus."""
        return self.dimension and self.dimension.lower()


QUEUE_READY = Metric("QueueReady", Unit.COUNT, "Messages that wait for a consumer.", "Queue")
QUEUE_UNACKNOWLEDGED = Metric("QueueUnacknowledged", Unit.COUNT, "Messages that a consumer holds.", "Queue")
QUEUE_MESSAGES = Metric("QueueMessages", Unit.COUNT, "All messages of the queue.", "Queue")
QUEUE_UNACCOUNTED = Metric(
    "QueueUnaccounted",
    Unit.COUNT,
    "Messages that are neither ready nor delivered: the broker cannot hand them to where they are dead-lettered.",
    "Queue",
)
QUEUE_CONSUMERS = Metric("QueueConsumers", Unit.COUNT, "Consumers of the queue.", "Queue")
QUEUE_PUBLISH_RATE = Metric("QueuePublishRate", Unit.PER_SECOND, "Messages that come.", "Queue")
QUEUE_DELIVER_RATE = Metric("QueueDeliverRate", Unit.PER_SECOND, "Messages that are handed to consumers.", "Queue")
QUEUE_ACKNOWLEDGE_RATE = Metric("QueueAcknowledgeRate", Unit.PER_SECOND, "Messages that are done.", "Queue")
QUEUE_OLDEST_AGE = Metric(
    "QueueOldestAge", Unit.SECONDS, "How long the oldest message is in the queue, as far as it was watched.", "Queue"
)

OUTBOX_BACKLOG = Metric("OutboxBacklog", Unit.COUNT, "Events that are stored and not yet published.", "Service")
OUTBOX_OLDEST_AGE = Metric("OutboxOldestAge", Unit.SECONDS, "The age of the oldest unpublished event.", "Service")
DEAD_LETTERS_OPEN = Metric("DeadLettersOpen", Unit.COUNT, "Dead letters that nobody has dealt with.", "Service")
SERVICE_UP = Metric("ServiceUp", Unit.YES_NO, "Whether the service is alive: its heartbeat.", "Service")
SERVICE_READY = Metric("ServiceReady", Unit.YES_NO, "Whether the service says that it can work.", "Service")
SERVICE_UPTIME = Metric("ServiceUptime", Unit.SECONDS, "Since when its process runs.", "Service")
SERVICE_RESTARTS = Metric("ServiceRestarts", Unit.COUNT, "Restarts within the last 15 minutes.", "Service")
SERVICE_REPLICAS = Metric("ServiceReplicas", Unit.COUNT, "Processes that consume the service's queues.", "Service")

ORDERS_OPEN = Metric("OrdersOpen", Unit.COUNT, "Orders that are not settled, however old.", "Status")
ORDERS_SETTLED = Metric("OrdersSettled", Unit.COUNT, "Orders of the last 15 minutes that are settled.", "Status")
ORDERS_OVERDUE = Metric("OrdersOverdue", Unit.COUNT, "Orders whose deadline has passed, and nobody drives them again.")
ORDERS_REDRIVEN = Metric("OrdersRedriven", Unit.COUNT, "Unsettled orders that had to be driven again.")
ORDERS_OLDEST_OPEN = Metric("OrdersOldestOpen", Unit.SECONDS, "The age of the oldest order that is not settled.")
ORDERS_ON_TIME = Metric("OrdersOnTime", Unit.PERCENT, "Orders of the last 15 minutes that were final in time.")
END_TO_END_LATENCY = Metric(
    "EndToEndLatency", Unit.SECONDS, "From an order's acceptance to its final status.", distribution=True
)
STEP_LATENCY = Metric(
    "StepLatency", Unit.SECONDS, "From the event that causes it to the event of that name.", "Step", distribution=True
)

AUDIT_VIOLATIONS = Metric("AuditViolations", Unit.COUNT, "Open violations that the audit of money and stock found.")
TOPOLOGY_DRIFT = Metric("TopologyDrift", Unit.COUNT, "Differences between the AsyncAPI document and the broker.")
SOURCE_UNREADABLE = Metric("SourceUnreadable", Unit.YES_NO, "Whether a source of these numbers is silent.", "Source")
HEARTBEAT = Metric("Heartbeat", Unit.YES_NO, "1 with every snapshot; its absence is what matters.")
METRICS_DROPPED = Metric("MetricsDropped", Unit.COUNT, "Samples that CloudWatch never got, since the start.")

METRICS = tuple(value for value in vars().copy().values() if isinstance(value, Metric))
"""All of them."""

PERCENTILES = (50.0, 95.0, 99.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen of a metric: each value with how often it was observed, which is once unless it is a distribution.

    `of` is the dimension's value.
    """

    metric: Metric
    observed: Mapping[float, int]
    of: str | None = None

    @property
    def value(self) -> float:
        """The one value of a metric that is no distribution."""
        [value] = self.observed
        return value

    @property
    def count(self) -> int:
        """How many observations there are."""
        return sum(self.observed.values())

    def percentile(self, percent: float) -> float | None:
        """The smallest value that so many percent of the observations do not exceed; None without observations."""
        wanted, seen = percent / 100 * self.count, 0
        for value, count in sorted(self.observed.items()):
            seen += count
            if seen >= wanted:
                return value
        return None


def sample(metric: Metric, value: float, of: str | None = None) -> Sample:
    """One value."""
    return Sample(metric, {float(value): 1}, of)
