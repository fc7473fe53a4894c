"""`./run bench --growth`: what becomes of us with more of everything: lines, old orders, replicas, and a backlog."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.client import Api
from benchmarks.contender import Contender
from benchmarks.loops import Bench
from benchmarks.old_orders import copy_order
from benchmarks.peers.ours.contender import CONTENDER as OURS
from benchmarks.peers.ours.contender import line_up
from benchmarks.report import table
from benchmarks.results import FINISHED, HALF_LOAD, KEPT, MEMORY, PYTHON, Results, processor
from benchmarks.run import FOLDER, Entry, Rounds, take_rounds
from benchmarks.running import running
from benchmarks.servers import BenchServers
from benchmarks.turn import Plan, started
from devstack.errors import StackError
from devstack.ports import any_free_port
from devstack.services import API

LINES = (10, 100)
REPLICAS = (2, 4)
SAMPLE_SECONDS = 1.0
"""Between two looks at memory."""
MEASURES = (FINISHED, PYTHON, processor("RabbitMQ"), processor("PostgreSQL"), HALF_LOAD, MEMORY, KEPT)


@dataclass(frozen=True)
class Backlog:
    """Orders that were accepted while nobody consumed, and what became of them. Rates are orders a second."""

    orders: int
    accepted_rate: float
    drained_rate: float
    """Over the time from when every consumer was ready until the last order was finished."""
    peak_memory: Mapping[str, int]
    """Bytes, by process, at most, while they drained."""


@dataclass(frozen=True)
class Growth:
    """What was measured."""

    results: Results
    backlog: Backlog


def grow(plan: Plan, rounds: int, old: int, backlog: int, console: Console) -> Growth:
    """Measure us with more of everything, in turns with us as we are; up to so many old orders, and a backlog."""
    plan = replace(plan, fractions=(0.5,))
    aged = {orders: _aged(orders) for orders in (old // 100, old // 10, old)}
    entries: list[Entry] = [
        (OURS, plan),
        *((_named(f"{lines}_lines"), replace(plan, lines=lines)) for lines in LINES),
        *((contender, plan) for contender in aged.values()),
        *((_replicated(replicas), plan) for replicas in REPLICAS),
    ]
    with Rounds(console, rounds * len(entries)) as progress, BenchServers(FOLDER / "servers") as servers:
        for orders, contender in aged.items():
            progress.now(f"making {orders:,} old orders")
            _age(servers, contender, orders)
        results = take_rounds(servers, entries, rounds, progress)
        return Growth(results, _drain(servers, backlog, plan, progress))


def publish(growth: Growth, console: Console, folder: Path = FOLDER) -> None:
    """Write what was measured, and print it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "growth.json").write_text(json.dumps(asdict(growth), indent=1) + "\n")
    (folder / "growth.md").write_text(markdown(growth))
    console.print(markdown(growth), markup=False, highlight=False, soft_wrap=True)
    console.print(f"This is in {folder / 'growth.md'} and {folder / 'growth.json'}.", soft_wrap=True)


def markdown(growth: Growth) -> str:
    """Return the report."""
    results, backlog = growth.results, growth.backlog
    head = ["", "in proportion", *(f"{measure.name}, {measure.unit}" for measure in MEASURES)]
    rows = ([name.replace("_", " "), *_row(results, name)] for name in results.contenders)
    peak = results.spread(OURS.name, FINISHED).middle
    memory = sorted(backlog.peak_memory.items())
    about = (
        "Ours with more of everything, in turns with ours as it is. In proportion: finished orders a second, round by "
        f"round. Loops of {results.seconds:g} s."
    )
    drained = (
        f"A backlog of {backlog.orders:,} orders, accepted at {backlog.accepted_rate:.0f} a second while no service "
        f"consumed, was worked off at {backlog.drained_rate:.0f} a second, {backlog.drained_rate / peak:.2f} of the "
        "rate at capacity. Memory at most, in MB: "
        + ", ".join(f"{name} {size / 1e6:.0f}" for name, size in memory)
        + "."
    )
    parts = ["# Growth", about, table(head, rows), drained, *(f"- {failure}" for failure in results.failures)]
    return "\n\n".join(parts) + "\n"


def _row(results: Results, name: str) -> list[str]:
    proportion = results.ratio(name, OURS.name, FINISHED).text(2)
    return [proportion, *(results.spread(name, measure).text(measure.digits) for measure in MEASURES)]


def _named(name: str) -> Contender:
    return replace(OURS, name=name)


def _replicated(replicas: int) -> Contender:
    return replace(_named(f"{replicas}_replicas"), line_up=partial(line_up, replicas=replicas))


def _aged(orders: int) -> Contender:
    return replace(_named(f"{orders}_old_orders"), keeps_databases=True)


def _age(servers: BenchServers, contender: Contender, orders: int) -> None:
    """Fill its databases: one order is carried, and copied."""
    with started(contender, servers, FOLDER / "logs") as up:
        order_id = up.runner.run(_carry_one(up.bench, up.api))
    asyncio.run(_copy(up.databases.values(), order_id, orders))


async def _carry_one(bench: Bench, api: Api) -> str:
    order = (await api.place(1, connections=1)).orders[0]
    await bench.settle()
    return order.order_id


async def _copy(databases: Iterable[str], order_id: str, orders: int) -> None:
    now = time.time()
    for url in databases:
        await copy_order(url, order_id, orders, now)


def _drain(servers: BenchServers, orders: int, plan: Plan, progress: Rounds) -> Backlog:
    """Let orders be accepted while nobody consumes, then start the consumers."""
    contender, logs = _named("backlog"), FOLDER / "logs"
    with servers.turn(contender) as given:
        placed = contender.line_up(given, any_free_port)
        front = [part for part in placed.parts if part.name == API]
        behind = [part for part in placed.parts if part.name != API]
        with running(contender, front, logs) as first:
            accepted = asyncio.run(_accept(Api(placed.api, placed.headers), orders, plan, progress))
            progress.now(f"working off a backlog of {orders:,} orders")
            with running(contender, behind, logs) as others:
                bench = Bench(contender, given.databases, [*first, *others, *servers.processes])
                begun = time.monotonic()
                peak = asyncio.run(_settle(bench))
                return Backlog(orders, accepted, orders / (time.monotonic() - begun), peak)


async def _accept(api: Api, orders: int, plan: Plan, progress: Rounds) -> float:
    accepted = 0

    def count(more: int) -> None:
        nonlocal accepted
        accepted += more
        if accepted % 1000 == 0:
            progress.now(f"a backlog of {orders:,} orders: {accepted:,} accepted")

    return (await api.place(orders, connections=plan.connections, tell=count)).accepted_rate


async def _settle(bench: Bench) -> Mapping[str, int]:
    """Wait until all is done; returns the most memory that each process had."""
    peak: dict[str, int] = {}

    async def watch() -> None:
        while True:
            for name, size in bench.memory().items():
                peak[name] = max(size, peak.get(name, 0))
            await asyncio.sleep(SAMPLE_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        if unfinished := await bench.settle():
            raise StackError(f"{unfinished} orders of the backlog were never finished")
    finally:
        watching.cancel()
    return peak
