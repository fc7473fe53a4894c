"""One frame of `./run top`: what is wrong, and below it what is going on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from messaging.topology import Queue, dead_letter_queue
from operations.monitoring import metrics
from operations.monitoring.alarms import Alarm, alarms_of
from operations.monitoring.collector import Snapshot
from operations.monitoring.described import NOBODY, Described, seconds_of_tier
from operations.monitoring.metrics import PERCENTILES, Metric, Sample
from operations.monitoring.objectives import FINAL_WITHIN

NOT_KNOWN = "[dim]?[/]"
MINUTE, HOUR, DAY = 60, 3_600, 86_400


class Seen:
    """A snapshot's samples by metric and dimension."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples: Mapping[tuple[Metric, str | None], Sample] = {(each.metric, each.of): each for each in samples}

    def value(self, metric: Metric, of: str | None = None) -> float | None:
        """The one value; None if it is not known."""
        found = self._samples.get((metric, of))
        return None if found is None else found.value

    def distribution(self, metric: Metric, of: str | None = None) -> Sample | None:
        """All that was observed."""
        return self._samples.get((metric, of))

    def all(self, metric: Metric) -> list[Sample]:
        """Every sample of a metric."""
        return [each for each in self._samples.values() if each.metric == metric]


def frame(described: Described, snapshot: Snapshot, *, everything: bool = False) -> RenderableType:
    """The whole picture."""
    seen = Seen(snapshot.samples)
    holding = [alarm for alarm in alarms_of(described) if alarm.holds(snapshot.samples)]
    parts: list[RenderableType] = [
        Text.from_markup(f"[bold]Orders[/]  [dim]{snapshot.taken_at.astimezone():%Y-%m-%d %H:%M:%S}[/]"),
        *_alarms(holding),
        *_orders(seen),
        *_latencies(seen, everything=everything),
        _services(described, seen),
        _queues(described, seen, everything=everything),
        _tiers(described, seen),
    ]
    return Group(*(line for part in parts for line in (part, Text())))


def _orders(seen: Seen) -> Iterator[RenderableType]:
    if not seen.all(metrics.ORDERS_OPEN):
        return
    yield Text.from_markup(
        f"Not settled: {_by_status(seen.all(metrics.ORDERS_OPEN))}\n"
        f"Settled in 15 minutes: {_by_status(seen.all(metrics.ORDERS_SETTLED))}\n"
        f"Overdue: {_number(seen.value(metrics.ORDERS_OVERDUE))}   "
        f"driven again: {_number(seen.value(metrics.ORDERS_REDRIVEN))}   "
        f"oldest not settled: {_seconds(seen.value(metrics.ORDERS_OLDEST_OPEN))}"
    )


def _by_status(samples: Iterable[Sample]) -> str:
    counted = [f"{each.value:g} {each.of}" for each in samples if each.value]
    return ", ".join(counted) or "none"


def _latencies(seen: Seen, *, everything: bool) -> Iterator[RenderableType]:
    whole = seen.distribution(metrics.END_TO_END_LATENCY)
    if whole is None:
        return
    on_time = seen.value(metrics.ORDERS_ON_TIME)
    caption = f"{on_time:.4g} % final within {FINAL_WITHIN} s" if on_time is not None else None
    table = _table("Latency, 15 minutes", *(f"p{percent:g}" for percent in PERCENTILES), "orders", caption=caption)
    table.add_row("accepted to final", *_percentiles(whole))
    steps = sorted(seen.all(metrics.STEP_LATENCY), key=lambda step: -step.count)
    for step in steps if everything else steps[:5]:
        table.add_row(f"  … to {step.of}", *_percentiles(step))
    yield table


def _percentiles(sample: Sample) -> list[str]:
    return [*(_seconds(sample.percentile(percent)) for percent in PERCENTILES), f"{sample.count}"]


def _services(described: Described, seen: Seen) -> RenderableType:
    table = _table("Service", "replicas", "ready", "up for", "restarts", "unsent", "oldest", "dead letters")
    for service in described.services:
        replicas = seen.value(metrics.SERVICE_REPLICAS, service)
        table.add_row(
            service,
            _number(replicas, bad=replicas == 0),
            _yes_no(seen.value(metrics.SERVICE_READY, service)),
            _seconds(seen.value(metrics.SERVICE_UPTIME, service)),
            _number(seen.value(metrics.SERVICE_RESTARTS, service)),
            _number(seen.value(metrics.OUTBOX_BACKLOG, service)),
            _seconds(seen.value(metrics.OUTBOX_OLDEST_AGE, service)),
            _number(seen.value(metrics.DEAD_LETTERS_OPEN, service), warns=True),
        )
    return table


def _queues(described: Described, seen: Seen, *, everything: bool) -> RenderableType:
    work = described.of_kind("work")
    shown = [queue for queue in work if everything or not _is_quiet(queue, seen)]
    shown.sort(key=lambda queue: (-(seen.value(metrics.QUEUE_MESSAGES, queue.name) or 0), queue.name))
    caption = f"and {len(work) - len(shown)} quiet ones (--all shows them)" if len(shown) < len(work) else None
    if not shown:
        return Text(f"All {len(work)} queues are empty and quiet (--all shows them).")
    table = _table("Queue", "ready", "held", "in/s", "done/s", "readers", "oldest", "dead", caption=caption)
    for queue in shown:
        consumers = seen.value(metrics.QUEUE_CONSUMERS, queue.name)
        table.add_row(
            queue.name,
            _number(seen.value(metrics.QUEUE_READY, queue.name)),
            _number(seen.value(metrics.QUEUE_UNACKNOWLEDGED, queue.name)),
            _number(seen.value(metrics.QUEUE_PUBLISH_RATE, queue.name)),
            _number(seen.value(metrics.QUEUE_ACKNOWLEDGE_RATE, queue.name)),
            _number(consumers, bad=consumers == 0),
            _age(queue, seen),
            _number(seen.value(metrics.QUEUE_MESSAGES, dead_letter_queue(queue.name)), warns=True),
        )
    return table


def _is_quiet(queue: Queue, seen: Seen) -> bool:
    moving = (metrics.QUEUE_MESSAGES, metrics.QUEUE_PUBLISH_RATE, metrics.QUEUE_ACKNOWLEDGE_RATE)
    return (
        not any(seen.value(metric, queue.name) for metric in moving)
        and not seen.value(metrics.QUEUE_MESSAGES, dead_letter_queue(queue.name))
        and bool(seen.value(metrics.QUEUE_CONSUMERS, queue.name))
    )


def _tiers(described: Described, seen: Seen) -> RenderableType:
    table = _table("Waits for another attempt", "messages", "in/s", "oldest")
    for tier in sorted(described.of_kind("retry"), key=seconds_of_tier):
        table.add_row(
            f"for {_seconds(seconds_of_tier(tier))}",
            _number(seen.value(metrics.QUEUE_MESSAGES, tier.name)),
            _number(seen.value(metrics.QUEUE_PUBLISH_RATE, tier.name)),
            _age(tier, seen),
        )
    for queue in described.of_kind("unrouted"):
        messages = seen.value(metrics.QUEUE_MESSAGES, queue.name)
        table.add_row("unrouted", _number(messages, warns=True), "", _age(queue, seen))
        kept = seen.value(metrics.DEAD_LETTERS_OPEN, NOBODY)
        table.add_row("unrouted, in custody", _number(kept, warns=True), "", "")
    return table


def _alarms(holding: list[Alarm]) -> Iterator[RenderableType]:
    if not holding:
        yield Text.from_markup("[green]✓[/] no alarm's condition holds")
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for kind in dict.fromkeys(alarm.kind for alarm in holding):
        of = [alarm.of for alarm in holding if alarm.kind == kind and alarm.of]
        colour = "red" if kind.urgent else "yellow"
        table.add_row(f"[{colour}]! {kind.name}[/]", escape(", ".join(of)) or kind.says)
        table.add_row("", f"[dim]docs/runbooks/{kind.name}.md[/]")
    yield table


def _table(first: str, *columns: str, caption: str | None = None) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", caption=caption, caption_justify="left")
    table.add_column(first, overflow="fold")  # on a narrow terminal names are folded, and no number is cut off
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _number(value: float | None, *, bad: bool = False, warns: bool = False) -> str:
    if value is None:
        return NOT_KNOWN
    text = f"{value:,.0f}" if value == int(value) else f"{value:.1f}"
    if bad or (warns and value):
        return f"[{'red' if bad else 'yellow'}]{text}[/]"
    return text if value else f"[dim]{text}[/]"


def _age(queue: Queue, seen: Seen) -> str:
    """The oldest message's; at the first look at a queue that holds some it is not known yet."""
    age = seen.value(metrics.QUEUE_OLDEST_AGE, queue.name)
    return NOT_KNOWN if not age and seen.value(metrics.QUEUE_MESSAGES, queue.name) else _seconds(age)


def _yes_no(value: float | None) -> str:
    return NOT_KNOWN if value is None else ("[green]yes[/]" if value else "[red]no[/]")


def _seconds(value: float | None) -> str:
    """A duration, in two or three digits."""
    if value is None:
        return NOT_KNOWN
    if 0 < value < 1:
        return f"{value * 1000:.0f} ms"
    for unit, length in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if value >= 2 * length:
            return f"{value / length:.0f} {unit}"
    return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"  # noqa: PLR2004 - two digits
