"""`./run bench --outage`: how long the backlog of a minute without RabbitMQ takes, while customers go on ordering."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.client import Api, arrivals
from benchmarks.figures import percentile
from benchmarks.loops import Bench
from benchmarks.peers.ours.contender import CONTENDER as OURS
from benchmarks.run import FOLDER, Rounds
from benchmarks.servers import BenchServers
from benchmarks.turn import Plan, started
from devstack.errors import StackError

SHARE = 0.5
"""Of its own capacity, at which customers order all the time."""
BEFORE, AFTER = 10.0, 120.0
"""Seconds of ordering before and after the outage."""


@dataclass(frozen=True)
class Outage:
    """What became of an outage. Rates are orders a second, times seconds."""

    rate: float
    """At which customers ordered."""
    absent: float
    """How long RabbitMQ was away, its start included."""
    accepted: int
    refused: Mapping[str, int]
    """Answers that were no 201, by status."""
    unfinished: int
    """Accepted, and never finished."""
    caught: int
    """Orders that were accepted, and not finished, when it was back."""
    gone_after: float
    """From its return until the last of these was finished."""
    post: float
    """p99 of the time until the answer, in the outage."""


def ride_out(plan: Plan, seconds: float, console: Console) -> Outage:
    """Measure our capacity; then order at half of it, and kill RabbitMQ for so long."""
    with (
        Rounds(console, 1) as progress,
        BenchServers(FOLDER / "servers") as servers,
        started(OURS, servers, FOLDER / "logs", serverless=True) as up,
    ):
        return up.runner.run(_ride_out(servers, up.bench, up.api, plan, seconds=seconds, progress=progress))


async def _ride_out(  # noqa: PLR0913 - all that takes part
    servers: BenchServers, bench: Bench, api: Api, plan: Plan, *, seconds: float, progress: Rounds
) -> Outage:
    progress.now("warming up")
    await bench.watch(api.place(plan.warm_up, connections=plan.connections))
    progress.now("measuring the capacity")
    capacity = await bench.watch(api.closed_loop(connections=plan.connections, seconds=plan.seconds))
    rate = SHARE * capacity.finished_rate
    moments = arrivals(rate, BEFORE + seconds + AFTER, seed=plan.seed)
    progress.now(f"{rate:.0f} orders a second")
    ordering = asyncio.create_task(api.open_loop(moments))
    await asyncio.sleep(BEFORE)
    progress.now(f"{rate:.0f} orders a second, without RabbitMQ")
    left = time.time()
    await asyncio.to_thread(servers.kill_broker)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(servers.start_broker)
    back = time.time()
    progress.now(f"{rate:.0f} orders a second, and the backlog")
    placed = await ordering
    unfinished = await bench.settle()
    ends = await bench.finished([order.order_id for order in placed.orders])
    caught = [
        end - back
        for order in placed.orders
        if order.at + order.answered < back and (end := ends.get(order.order_id, 0)) > back
    ]
    if not caught:
        raise StackError("no order waited for RabbitMQ")
    answers = [order.answered for order in placed.orders if left < order.at < back]
    return Outage(
        rate=rate,
        absent=back - left,
        accepted=len(placed.orders),
        refused=placed.refused,
        unfinished=unfinished,
        caught=len(caught),
        gone_after=max(caught),
        post=percentile(answers, 0.99),
    )


def publish(outage: Outage, console: Console, folder: Path = FOLDER) -> None:
    """Write what was measured, and print it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "outage.json").write_text(json.dumps(asdict(outage), indent=1) + "\n")
    show = partial(console.print, highlight=False, soft_wrap=True)
    refused = ", ".join(f"{count} of {status}" for status, count in sorted(outage.refused.items())) or "none"
    show(
        f"{outage.rate:.0f} orders a second, half of the capacity, all the time. RabbitMQ was away for "
        f"{outage.absent:.0f} s: {outage.accepted:,} orders accepted in all, refused: {refused}, never finished: "
        f"{outage.unfinished}; p99 of an answer meanwhile {1000 * outage.post:.0f} ms."
    )
    show(
        f"Of the {outage.caught:,} orders that waited at its return the last was finished "
        f"{outage.gone_after:.1f} s later."
    )
    show(f"This is in {folder / 'outage.json'}.")
