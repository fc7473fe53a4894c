"""One contender's turn: it is started, warmed up, driven to its capacity, then at fractions of it, and stopped."""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.client import Api, arrivals
from benchmarks.contender import Contender
from benchmarks.loops import Bench, Loop
from benchmarks.running import running
from benchmarks.servers import BenchServers
from devstack.ports import any_free_port


@dataclass(frozen=True)
class Plan:
    """What each turn does."""

    warm_up: int = 300
    """Orders that come first and are not counted: they meet cold caches and empty pools."""
    connections: int = 32
    """Of the closed loop."""
    seconds: float = 8.0
    """Of the closed loop, and of each open one."""
    fractions: Sequence[float] = (0.25, 0.5, 0.75, 0.9)
    """Of its own capacity, at which its latency is measured."""
    lines: int = 1
    """Of each order."""
    seed: int = 0
    """Of the moments at which customers come."""


@dataclass(frozen=True)
class Turn:
    """What a turn gave."""

    contender: str
    closed: Loop
    opened: Mapping[str, Loop]
    """By the fraction of capacity, as in `50 %`."""
    memory: Mapping[str, int]
    """Bytes, by process, after the closed loop."""
    disk: Mapping[str, float]
    """Bytes an order, in databases and in the write-ahead log."""


def take_turn(contender: Contender, servers: BenchServers, plan: Plan, logs: Path, tell: Callable[[str], None]) -> Turn:
    """Run a contender's turn from its start to its end; `tell` hears what it is at. Raises StackError if it falls."""
    tell("starting")
    with started(contender, servers, logs) as up:
        return up.runner.run(_drive(contender, up.bench, up.api, plan, tell))


@dataclass(frozen=True)
class Up:
    """A contender that runs, and the hands of whoever drives it."""

    bench: Bench
    api: Api
    runner: asyncio.Runner
    databases: Mapping[str, str]


@contextmanager
def started(contender: Contender, servers: BenchServers, logs: Path, *, serverless: bool = False) -> Generator[Up]:
    """Start a contender in its turn of the servers, and stop it. Raises StackError if it falls.

    `serverless`: its servers are not watched, so that they may be killed.
    """
    with servers.turn(contender) as given:
        line_up = contender.line_up(given, any_free_port)
        with (
            running(contender, line_up.parts, logs) as processes,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            watched = processes if serverless else [*processes, *servers.processes]
            bench = Bench(contender, given.databases, watched)
            yield Up(bench, Api(line_up.api, line_up.headers), runner, given.databases)


async def _drive(contender: Contender, bench: Bench, api: Api, plan: Plan, tell: Callable[[str], None]) -> Turn:
    tell("warming up")
    await bench.watch(api.place(plan.warm_up, connections=plan.connections, lines=plan.lines))
    tell("closed loop")
    before = await bench.stored()
    loop = api.closed_loop(connections=plan.connections, seconds=plan.seconds, lines=plan.lines)
    closed = await bench.watch(loop)
    after, memory = await bench.stored(), bench.memory()
    opened: dict[str, Loop] = {}
    for number, fraction in enumerate(plan.fractions, plan.seed):
        tell(f"at {fraction:.0%} of its capacity")
        moments = arrivals(fraction * closed.finished_rate, plan.seconds, seed=number)
        opened[f"{fraction:.0%}"] = await bench.watch(api.open_loop(moments, lines=plan.lines))
    disk = {what: (after[what] - before[what]) / closed.sent for what in after}
    return Turn(contender.name, closed, opened, memory, disk)
