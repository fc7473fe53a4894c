"""The newest snapshot for Prometheus: `/metrics` says what was seen last, and asks nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from operations.monitoring.collector import Snapshot
from operations.monitoring.metrics import PERCENTILES, Metric, Sample

QUANTILE = "quantile"
"""The label that tells the percentiles of a distribution apart, as Prometheus's own summaries have it."""


class Exposition(Collector):
    """A sink for snapshots, and a collector for a `prometheus_client` registry."""

    def __init__(self) -> None:
        self._samples: tuple[Sample, ...] = ()

    def take(self, snapshot: Snapshot) -> None:
        """Show this from now on."""
        self._samples = snapshot.samples

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        grouped: defaultdict[Metric, list[Sample]] = defaultdict(list)
        for sample in self._samples:
            grouped[sample.metric].append(sample)
        for metric, samples in grouped.items():
            yield _family(metric, samples)


def _family(metric: Metric, samples: list[Sample]) -> GaugeMetricFamily:
    labels = [label for label in (metric.label, QUANTILE if metric.distribution else None) if label]
    family = GaugeMetricFamily(metric.prometheus, metric.means, labels=labels)
    for sample in samples:
        of = [] if sample.of is None else [sample.of]
        if not metric.distribution:
            family.add_metric(of, sample.value)
            continue
        for percent in PERCENTILES:
            if (value := sample.percentile(percent)) is not None:
                family.add_metric([*of, f"{percent / 100:g}"], value)
    return family
