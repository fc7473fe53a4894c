"""`./run top`, as a stranger sees it: what is going on, what is wrong, and what to do when nothing runs."""

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from devstack.paths import CHECKOUT
from devstack.top import as_text
from devstack.top_view import frame
from operations.monitoring import metrics
from operations.monitoring.alarms import KINDS, alarms_of
from operations.monitoring.collector import Snapshot
from operations.monitoring.described import read_description
from operations.monitoring.metrics import METRICS, Sample, sample
from tests.unit.operations.monitoring.snapshots import healthy, troubled

SYSTEM = read_description(CHECKOUT / "asyncapi/asyncapi.json")
ALARMS = alarms_of(SYSTEM)


def shown(samples: list[Sample], width: int = 100, *, everything: bool = False) -> str:
    """The frame, as text."""
    text = io.StringIO()
    snapshot = Snapshot(datetime.now(UTC), tuple(samples))
    Console(file=text, width=width).print(frame(SYSTEM, snapshot, everything=everything))
    return text.getvalue()


def with_(*changed: Sample) -> list[Sample]:
    """A healthy system, but for these."""
    keys = {(each.metric, each.of) for each in changed}
    return [*(each for each in healthy(SYSTEM) if (each.metric, each.of) not in keys), *changed]


@pytest.mark.parametrize("width", [80, 120])
def test_every_line_fits_and_no_number_is_cut_off(width: int) -> None:
    """On a terminal of 80 columns, too, with large numbers in every column of services."""
    busy = with_(
        sample(metrics.OUTBOX_BACKLOG, 12_345, "order_api"),
        sample(metrics.QUEUE_READY, 54_321, "payment.order.created"),
        sample(metrics.QUEUE_MESSAGES, 54_321, "payment.order.created"),
        sample(metrics.QUEUE_OLDEST_AGE, 7_300, "payment.order.created"),
    )
    text = shown(busy, width, everything=True)
    assert max(map(len, text.splitlines())) <= width
    assert all(number in text for number in ("12,345", "54,321", "2 h"))
    assert all(queue.name in text for queue in SYSTEM.of_kind("work"))


def test_quiet_queues_are_left_out_and_counted() -> None:
    """What moves, holds something, has dead letters or no consumer is shown first; the rest is a number."""
    text = shown(
        with_(
            sample(metrics.QUEUE_MESSAGES, 7, "payment.order.created"),
            sample(metrics.QUEUE_MESSAGES, 1, "shipping.inventory.reserved.dlq"),
            sample(metrics.QUEUE_CONSUMERS, 0, "inventory.payment.authorized"),
        )
    )
    lines = [line.split()[0] for line in text.splitlines() if line]
    shown_queues = [queue.name for queue in SYSTEM.of_kind("work") if queue.name in lines]
    assert set(shown_queues) == {
        "payment.order.created",
        "shipping.inventory.reserved",
        "inventory.payment.authorized",
    }
    assert f"and {len(SYSTEM.of_kind('work')) - 3} quiet ones" in text
    assert "quiet" in shown(healthy(SYSTEM))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_alarm_that_holds_is_named_with_its_runbook(kind: object) -> None:
    """And nothing is named of a healthy system."""
    alarm = next(alarm for alarm in ALARMS if alarm.kind == kind)
    text = shown(troubled(SYSTEM, alarm))
    assert f"! {alarm.kind.name}" in text
    assert f"docs/runbooks/{alarm.kind.name}.md" in text
    assert "no alarm's condition holds" in shown(healthy(SYSTEM))


def test_what_is_not_known_is_not_called_zero() -> None:
    """Without a database or an address there is a question mark, and no table of latencies."""
    only_broker = [each for each in healthy(SYSTEM) if each.metric.dimension == "Queue"]
    text = shown(only_broker)
    assert "Latency" not in text
    assert "?" in next(line for line in text.splitlines() if line.startswith("payment"))


def test_programs_get_every_number() -> None:
    """Each sample by name and dimension, percentiles of distributions, and the alarms that hold."""
    latency = Sample(metrics.END_TO_END_LATENCY, {0.5: 99, 9.0: 1})
    overdue = sample(metrics.ORDERS_OVERDUE, 3)
    told = json.loads(as_text(SYSTEM, Snapshot(datetime.now(UTC), tuple(with_(latency, overdue)))))
    assert told["alarms"] == ["orders-overdue"]
    assert {each["metric"] for each in told["samples"]} == {metric.name for metric in METRICS}
    assert {"metric": "EndToEndLatency", "count": 100, "p50": 0.5, "p95": 0.5, "p99": 0.5} in told["samples"]
    assert {"metric": "QueueReady", "queue": "payment.order.created", "value": 0.0} in told["samples"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "nothing is up. Start the stack first: ./run up --detach"),
        ({"RABBITMQ_MANAGEMENT_URL": "http://guest:hunter2@127.0.0.1:9"}, "does not answer"),
    ],
    ids=["nothing is up", "nobody there"],
)
def test_when_nothing_runs_it_says_the_way_out(environment: dict[str, str], said: str, tmp_path: Path) -> None:
    """One line on standard error, no traceback, no password, status 1."""
    done = subprocess.run(
        [sys.executable, "-m", "devstack", "top", "--once"],
        cwd=CHECKOUT,
        env={**os.environ, "ORDERS_STATE_FOLDER": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
