"""Just enough of PromQL to ask our own rules: one comparison of one metric, and `absent`."""

import operator
import re
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from operations.monitoring.exposition import Exposition

_COMPARISON = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<sign>[<>]) (?P<number>[\d.]+)$")
_LABEL = re.compile(r'(\w+)(=~?)"((?:[^"\\]|\\.)*)"')
_SIGNS = {"<": operator.lt, ">": operator.gt}

Series = tuple[str, Mapping[str, str], float]


def series_of(exposition: Exposition) -> list[Series]:
    """What Prometheus would have read."""
    registry = CollectorRegistry()
    registry.register(exposition)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return [(each.name, each.labels, each.value) for family in families for each in family.samples]


def firing(expression: str, series: Iterable[Series]) -> list[Mapping[str, str]]:
    """The labels of every series that the expression is true of; `absent` has none."""
    comparison, _, absent = expression.partition(" or absent(")
    parsed = _COMPARISON.match(comparison)
    assert parsed, comparison
    wanted = [
        (label, re.compile(pattern.replace("\\\\", "\\") if sign == "=~" else re.escape(pattern)))
        for label, sign, pattern in _LABEL.findall(parsed["labels"] or "")
    ]
    chosen = [
        (labels, value)
        for name, labels, value in series
        if name == parsed["name"] and all(pattern.fullmatch(labels.get(label, "")) for label, pattern in wanted)
    ]
    if absent and not chosen:
        return [{}]
    return [labels for labels, value in chosen if _SIGNS[parsed["sign"]](value, float(parsed["number"]))]
