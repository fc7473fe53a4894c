"""Snapshots made up for tests: all is well, or something is not."""

from collections.abc import Sequence

from operations.monitoring import metrics
from operations.monitoring.alarms import Alarm, sources_of
from operations.monitoring.described import NOBODY, Described
from operations.monitoring.metrics import Metric, Sample, sample
from operations.monitoring.tables import STATUSES

AT_EASE = {
    metrics.QUEUE_CONSUMERS: 1,
    metrics.SERVICE_UP: 1,
    metrics.SERVICE_READY: 1,
    metrics.SERVICE_REPLICAS: 1,
    metrics.HEARTBEAT: 1,
    metrics.ORDERS_ON_TIME: 100,
    metrics.END_TO_END_LATENCY: 0.2,
    metrics.STEP_LATENCY: 0.03,
    metrics.SERVICE_UPTIME: 3_600,
}
"""What is not 0 when all is well."""


def values_of(described: Described, metric: Metric) -> Sequence[str | None]:
    """What a metric is told apart by, in the documented system."""
    match metric.dimension:
        case "Queue":
            return [queue.name for queue in described.queues]
        case "Service":
            return [*described.services, *([NOBODY] if metric == metrics.DEAD_LETTERS_OPEN else [])]
        case "Source":
            return list(sources_of(described))
        case "Status":
            return list(STATUSES)
        case "Step":
            return sorted({effect for _, effect in described.causes})
        case None:
            return [None]


def healthy(described: Described) -> list[Sample]:
    """Every sample there can be, and nothing wrong."""
    return [
        sample(metric, AT_EASE.get(metric, 0), of) for metric in metrics.METRICS for of in values_of(described, metric)
    ]


def troubled(described: Described, alarm: Alarm) -> list[Sample]:
    """The same, with the one thing wrong that this alarm is for."""
    wrong = alarm.bound.value + (-1 if alarm.below else 1)
    rest = [each for each in healthy(described) if (each.metric, each.of) != (alarm.metric, alarm.of)]
    return [*rest, sample(alarm.metric, wrong, alarm.of)]
