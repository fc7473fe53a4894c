"""Costs from three measurements: nothing happens; orders come alone, each message its own group; all come at once."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.capacity.costs import Cost, Costs
from benchmarks.capacity.model import SERVICES, WORK, Forecast, Scenario, messages, simulate
from benchmarks.client import Api, arrivals
from benchmarks.loops import DRIVER, Bench, Loop
from benchmarks.peers.ours.contender import CONTENDER as OURS
from benchmarks.results import this_machine
from benchmarks.servers import BenchServers
from benchmarks.turn import Plan, started

IDLE_SECONDS = 10.0
ALONE_RATE, ALONE_SECONDS = 5.0, 30.0
"""Orders a second: at fifty milliseconds each they hardly ever meet."""
SECONDS = 8.0
"""Of a simulated run that is compared with a measured one."""
STEPS = 4
"""How often costs and group sizes, each of which follows from the other, are brought in line."""
HOPS = 5
"""From service to service, one after the other, until an order is finished."""
ROUND = 4
"""Digits that are kept."""


@dataclass(frozen=True)
class Measured:
    """What was seen."""

    idle: Mapping[str, float]
    """Milliseconds a second, by process."""
    alone: Loop
    together: Loop


def measure(folder: Path, tell: Callable[[str], None]) -> Measured:
    """Start servers and services, and measure; `tell` hears what it is at."""
    plan = Plan()
    tell("starting")
    with BenchServers(folder / "servers") as servers, started(OURS, servers, folder / "logs") as up:
        return up.runner.run(_measure(up.bench, up.api, plan, tell))


async def _measure(bench: Bench, api: Api, plan: Plan, tell: Callable[[str], None]) -> Measured:
    tell("warming up")
    await bench.watch(api.place(plan.warm_up, connections=plan.connections))
    tell("nothing happens")
    before = bench.clocks()
    await asyncio.sleep(IDLE_SECONDS)
    idle = {name: time / IDLE_SECONDS for name, time in (bench.clocks() - before).items()}
    tell("orders one by one")
    alone = await bench.watch(api.open_loop(arrivals(ALONE_RATE, ALONE_SECONDS, seed=plan.seed)))
    tell("orders as many as there can be")
    return Measured(idle, alone, await bench.watch(api.closed_loop(connections=plan.connections, seconds=plan.seconds)))


def fit(measured: Measured) -> Costs:
    """Return the costs with which the simulation takes the time that was measured."""
    alone = {name: time - measured.idle.get(name, 0) / ALONE_RATE for name, time in measured.alone.processor.items()}
    high = measured.together.processor
    costs = Costs(
        machine=this_machine(),
        services={name: Cost(0, high[name] / WORK[name]) for name in SERVICES},
        rabbitmq=Cost(0, high["RabbitMQ"] / sum(WORK.values())),
        postgresql=Cost(0, high["PostgreSQL"] / sum(WORK.values())),
        customer=round(high[DRIVER], ROUND),
        wait=0,
    )
    for _ in range(STEPS):
        busy = simulate(costs, Scenario(measured.together.accepted_rate, SECONDS))
        costs = replace(
            costs,
            services={name: _cost(alone, high, busy, name, (name,)) for name in SERVICES},
            rabbitmq=_cost(alone, high, busy, "RabbitMQ", SERVICES),
            postgresql=_cost(alone, high, busy, "PostgreSQL", SERVICES),
        )
        late = measured.alone.end_to_end["p50"] / 1000 - median(
            simulate(costs, Scenario(ALONE_RATE, ALONE_SECONDS)).latency
        )
        costs = replace(costs, wait=round(max(0.0, costs.wait + 1000 * late / HOPS), ROUND))
    return costs


def _cost(
    alone: Mapping[str, float], high: Mapping[str, float], busy: Forecast, process: str, of: tuple[str, ...]
) -> Cost:
    """Alone, each message is a group; together, few groups hold them all: two equations, two unknowns."""
    work = sum(WORK[name] for name in of)
    lone = sum(messages(name) for name in of)
    few = sum(busy.groups[name] for name in of) / len(busy.latency)
    group = max(0.0, (alone[process] - high[process]) / (lone - few))
    group = min(group, high[process] / few)
    return Cost(round(group, ROUND), round((high[process] - group * few) / work, ROUND))
