"""The simulation beside what was really measured, and by how much it errs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fit import SECONDS
from benchmarks.capacity.model import BROKER, Scenario, simulate
from benchmarks.figures import Spread, percentile
from benchmarks.outage import BEFORE
from benchmarks.peers.ours.contender import CONTENDER
from benchmarks.report import table
from benchmarks.results import FINISHED, HALF, Results, at
from devstack.errors import StackError

FRACTIONS = ("25%", HALF, "75%", "90%")
SEEDS = 5
"""Simulated runs, of which the median counts."""
OVERLOAD = 1.3
"""Of the capacity: whoever orders at this rate finds it."""


@dataclass(frozen=True)
class Checked:
    """A measured number, and the simulated one."""

    what: str
    measured: float
    simulated: float

    @property
    def error(self) -> float:
        """The simulated one's distance, as a share of the measured one."""
        return self.simulated / self.measured - 1


def check(costs: Costs, folder: Path) -> list[Checked]:
    """Compare with the last runs of `./run bench`. Raises StackError when there is none."""
    path = folder / "results.json"
    if not path.exists():
        raise StackError("nothing is measured that could be compared: ./run bench --only ours")
    found = [*_of_rates(costs, Results.load(path)), *_of_the_outage(costs, _read(folder / "outage.json"))]
    return [*found, *_of_the_backlog(costs, _read(folder / "growth.json"))]


def markdown(checked: list[Checked]) -> str:
    """Return the table."""
    rows = ((each.what, f"{each.measured:,.1f}", f"{each.simulated:,.1f}", f"{each.error:+.0%}") for each in checked)
    return table(("", "measured", "simulated", "error"), rows) + "\n"


def _of_rates(costs: Costs, results: Results) -> Iterator[Checked]:
    capacity = results.spread(CONTENDER.name, FINISHED).middle
    most = [simulate(costs, Scenario(OVERLOAD * capacity, SECONDS, seed=seed)).finished_rate for seed in range(SEEDS)]
    yield Checked("orders finished a second, at most", capacity, Spread.of(most).middle)
    for fraction in FRACTIONS:
        rate = float(fraction[:-1]) / 100 * capacity
        runs = [simulate(costs, Scenario(rate, SECONDS, seed=seed)).latency for seed in range(SEEDS)]
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            measured = results.spread(CONTENDER.name, at(fraction, "end_to_end", name)).middle
            simulated = Spread.of(1000 * percentile(run, share) for run in runs).middle
            yield Checked(f"{name} end to end at {fraction} of that, ms", measured, simulated)


def _of_the_outage(costs: Costs, outage: Any) -> Iterator[Checked]:
    if outage is None:
        return
    end = BEFORE + outage["absent"]
    scenario = Scenario(outage["rate"], end + 60, outage=BROKER, begin=BEFORE, end=end)
    simulated = simulate(costs, scenario).drained
    what = f"{outage['absent']:.0f} s without {BROKER} at {outage['rate']:.0f} orders/s: backlog gone after, s"
    yield Checked(what, outage["gone_after"], simulated or 0.0)


def _of_the_backlog(costs: Costs, growth: Any) -> Iterator[Checked]:
    if growth is None:
        return
    measured = growth["backlog"]
    seconds = measured["orders"] / measured["accepted_rate"]
    scenario = Scenario(measured["accepted_rate"], seconds, outage="payment", end=seconds)
    drained = measured["orders"] / (simulate(costs, scenario).drained or 1.0)
    what = f"a backlog of {measured['orders']:,} orders: worked off, orders/s"
    yield Checked(what, measured["drained_rate"], drained)


def _read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None
