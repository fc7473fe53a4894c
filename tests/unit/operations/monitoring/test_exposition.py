"""The newest snapshot as Prometheus reads it."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from messaging.database import Database
from messaging.metrics import Metrics
from operations.monitoring import metrics
from operations.monitoring.collector import Snapshot
from operations.monitoring.exposition import Exposition
from operations.monitoring.metrics import METRICS, Sample, sample


def shown(*samples: Sample) -> list[str]:
    """The lines for these samples, without comments."""
    exposition, registry = Exposition(), CollectorRegistry()
    registry.register(exposition)
    exposition.take(Snapshot(datetime.now(UTC), samples))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_nothing_is_shown_before_the_first_snapshot() -> None:
    """No zero that nobody has seen."""
    registry = CollectorRegistry()
    registry.register(Exposition())
    assert generate_latest(registry) == b""


def test_names_say_the_unit_and_labels_the_thing() -> None:
    """Seconds and rates by suffix, the dimension as a label."""
    assert shown(
        sample(metrics.QUEUE_OLDEST_AGE, 4, "payment.order.created"),
        sample(metrics.QUEUE_PUBLISH_RATE, 2.5, "payment.order.created"),
        sample(metrics.ORDERS_ON_TIME, 99.5),
    ) == [
        'orders_system_queue_oldest_age_seconds{queue="payment.order.created"} 4.0',
        'orders_system_queue_publish_rate_per_second{queue="payment.order.created"} 2.5',
        "orders_system_orders_on_time_percent 99.5",
    ]


def test_a_distribution_is_shown_by_its_percentiles() -> None:
    """As a summary has them; one without observations is not shown."""
    latency = Sample(metrics.STEP_LATENCY, {0.1: 90, 0.5: 8, 6.2: 2}, "payment.authorized")
    assert shown(latency, Sample(metrics.END_TO_END_LATENCY, {})) == [
        'orders_system_step_latency_seconds{quantile="0.5",step="payment.authorized"} 0.1',
        'orders_system_step_latency_seconds{quantile="0.95",step="payment.authorized"} 0.5',
        'orders_system_step_latency_seconds{quantile="0.99",step="payment.authorized"} 6.2',
    ]


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([1.0, 50.0, 95.0, 99.0, 100.0]))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], percent: float) -> None:
    """The nearest rank: at least so many percent are not above it, and with the next smaller one they would not do."""
    counts: dict[float, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    found = Sample(metrics.END_TO_END_LATENCY, counts).percentile(percent)
    assert found in counts
    assert sum(value <= found for value in values) >= percent / 100 * len(values)
    assert sum(value < found for value in values) < percent / 100 * len(values)


def test_metrics_are_not_those_that_every_service_has() -> None:
    """Both are served by operations at one address, so no name may be used twice: a prefix sees to it."""
    own = Metrics(Database("", name="none"), bool, float).registry
    assert not any(family.name.startswith("orders_system_") for family in own.collect())
    assert all(metric.prometheus.startswith("orders_system_") for metric in METRICS)
