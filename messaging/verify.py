"""The document against a live broker: what is missing there, what is there besides, and what differs."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from messaging.management import Live, LiveObject, ManagementUnavailable
from messaging.topology import Topology

Kind = Literal["missing", "extra", "different"]
What = Literal["exchange", "queue", "binding", "consumer", "policy"]

POLL_SECONDS = 0.5
HEARD_OF = 10.0
"""Seconds in which the management API surely hears of a consumer that came or went: two of its five-second beats."""
STARTING = 20.0
"""Seconds in which the management API surely answers, once the broker takes connections."""

_HARMLESS_POLICIES = frozenset({"ha-mode", "ha-params", "ha-sync-mode", "queue-leader-locator", "queue-master-locator"})
"""What a policy may set without changing what becomes of a message."""
WAY_OUT = (
    "`topology plan` says what `topology apply --migrate` would mend; what is extra on the broker is "
    "to be deleted there. If the document is what is wrong, write it anew: ./run asyncapi."
)
_COLOURS = {"missing": "red", "extra": "yellow", "different": "magenta"}


@dataclass(frozen=True, slots=True, order=True)
class Drift:
    """One difference between the document and the broker."""

    kind: Kind
    what: What
    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} {self.what} {self.name}" + (f": {self.detail}" if self.detail else "")


def compare(wanted: Topology, live: Live, consumers: Mapping[str, int] | None = None) -> list[Drift]:
    """All differences, sorted. `consumers` are the queues that must be consumed, and nothing else may be.

    Without `consumers` nobody is expected to consume yet, and whoever does is not looked at.
    """
    exchanges = {
        exchange.name: LiveObject(
            {"type": exchange.type, "durable": True, "auto_delete": False, "internal": False}, exchange.arguments, {}
        )
        for exchange in wanted.exchanges
    }
    queues = {
        queue.name: LiveObject({"durable": True, "auto_delete": False}, queue.arguments, {}) for queue in wanted.queues
    }
    found = [
        *_objects("exchange", exchanges, live.exchanges),
        *_objects("queue", queues, live.queues),
        *_bindings(wanted, live),
    ]
    if consumers is not None:
        found += _consumers(consumers, live)
    return sorted(found)


def _objects(what: What, wanted: Mapping[str, LiveObject], live: Mapping[str, LiveObject]) -> Iterator[Drift]:
    yield from (Drift("missing", what, name, "") for name in wanted.keys() - live.keys())
    yield from (Drift("extra", what, name, "") for name in live.keys() - wanted.keys())
    for name in wanted.keys() & live.keys():
        for detail in _differences(wanted[name], live[name]):
            yield Drift("different", what, name, detail)
        for key in sorted(live[name].policy.keys() - _HARMLESS_POLICIES):
            yield Drift("extra", "policy", name, f"sets {key} to {_shown(live[name].policy, key)}")


def _differences(wanted: LiveObject, live: LiveObject) -> Iterator[str]:
    for expected, actual in ((wanted.properties, live.properties), (wanted.arguments, live.arguments)):
        for key in sorted(expected.keys() | actual.keys()):
            if _shown(expected, key) != _shown(actual, key):
                yield f"{key} is {_shown(actual, key)}, documented is {_shown(expected, key)}"


def _shown(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key]) if key in values else "not set"


def _bindings(wanted: Topology, live: Live) -> Iterator[Drift]:
    expected = {(binding.exchange, binding.queue, binding.routing_key) for binding in wanted.bindings}
    for exchange, queue, key in expected - live.bindings:
        yield Drift("missing", "binding", f"{exchange} -> {queue}", f"routing key {key!r}")
    for exchange, queue, key in live.bindings - expected:
        yield Drift("extra", "binding", f"{exchange} -> {queue}", f"routing key {key!r}")


def _consumers(wanted: Mapping[str, int], live: Live) -> Iterator[Drift]:
    consumed = {consumer.queue for consumer in live.consumers}
    for queue in wanted.keys() - consumed:
        yield Drift("missing", "consumer", queue, "nobody consumes this queue")
    for consumer in live.consumers:
        if consumer.queue not in wanted:
            detail = f"no handler receives from it, but {_who(consumer.connection)} does"
            yield Drift("extra", "consumer", consumer.queue, detail)
        elif consumer.prefetch == 0:
            yield Drift("different", "consumer", consumer.queue, f"unlimited prefetch of {_who(consumer.connection)}")


def _who(connection: str) -> str:
    return f"connection {connection}" if connection else "somebody"


async def until_clean(
    look: Callable[[], Awaitable[Sequence[Drift]]], patience: float, silence: float = 0.0
) -> Sequence[Drift]:
    """Look again and again until nothing drifts or patience, in seconds, is over; returns what was seen last.

    A drift of consumers is believed only when the management API can have heard of them. Raises ManagementUnavailable
    if it does not answer for so many seconds of silence.
    """
    begun = time.monotonic()
    while True:
        waited = time.monotonic() - begun
        try:
            drifts = await look()
        except ManagementUnavailable:
            if waited >= max(patience, silence):
                raise
        else:
            enough = max(patience, HEARD_OF if any(drift.what == "consumer" for drift in drifts) else 0.0)
            if not drifts or waited >= enough:
                return drifts
        await asyncio.sleep(POLL_SECONDS)


def as_gauge(drifts: Sequence[Drift]) -> str:
    """How many there are of each kind, zeros too, in Prometheus's text format: for a collector that reads files."""
    counted = Counter((drift.kind, drift.what) for drift in drifts)
    return "".join(
        [
            "# HELP orders_topology_drifts Differences between the AsyncAPI document and the broker.\n",
            "# TYPE orders_topology_drifts gauge\n",
            *(
                f'orders_topology_drifts{{kind="{kind}",what="{what}"}} {counted[kind, what]}\n'
                for kind in get_args(Kind)
                for what in get_args(What)
            ),
        ]
    )


def as_json(drifts: Sequence[Drift]) -> str:
    """The report for programs."""
    return json.dumps({"clean": not drifts, "drifts": [asdict(drift) for drift in drifts]}, indent=2)


def report(drifts: Sequence[Drift], wanted: Topology, console: Console) -> None:
    """The report for people."""
    size = f"{len(wanted.exchanges)} exchanges, {len(wanted.queues)} queues, {len(wanted.bindings)} bindings"
    if not drifts:
        console.print(f"[green]✓[/] the broker holds what the document says: {size}", highlight=False)
        return
    differences = "1 difference" if len(drifts) == 1 else f"{len(drifts)} differences"
    table = Table("", "what", title=f"{differences} from the document ({size})")
    table.add_column("name", overflow="fold")
    table.add_column("detail", overflow="fold")
    for drift in drifts:
        table.add_row(f"[{_COLOURS[drift.kind]}]{drift.kind}[/]", drift.what, escape(drift.name), escape(drift.detail))
    console.print(table, highlight=False)
    console.print(WAY_OUT, highlight=False)
