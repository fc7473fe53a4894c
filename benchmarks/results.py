"""The results of a run: what is kept as JSON, and the measures that are read from it."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.figures import Spread, ratios
from benchmarks.loops import DRIVER
from benchmarks.turn import Turn

SERVERS = ("RabbitMQ", "epmd", "PostgreSQL")
HALF = "50%"


@dataclass(frozen=True)
class About:
    """What the report says of a contender."""

    what: str
    not_guaranteed: Sequence[str]


@dataclass(frozen=True)
class Results:
    """Turns in the order in which they were taken: each round is one of every contender."""

    machine: Mapping[str, str]
    seconds: float
    """Of each loop."""
    contenders: Mapping[str, About]
    turns: Sequence[Turn]
    failures: Sequence[str] = ()

    def of(self, contender: str, measure: "Measure") -> list[float]:
        """Return what each of its turns gave."""
        return [measure.of(turn) for turn in self.turns if turn.contender == contender]

    def spread(self, contender: str, measure: "Measure") -> Spread:
        """Return what all its turns gave together."""
        return Spread.of(self.of(contender, measure))

    def ratio(self, contender: str, other: str, measure: "Measure") -> Spread:
        """Return the one's share of the other; of nothing, nan."""
        ours, others = self.of(contender, measure), self.of(other, measure)
        rounds = min(len(ours), len(others))
        return ratios(ours[:rounds], others[:rounds])

    def save(self, path: Path) -> None:
        """Keep them."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read what was kept."""
        return TypeAdapter(cls).validate_python(json.loads(path.read_text()))


@dataclass(frozen=True)
class Measure:
    """A number that each turn gives."""

    name: str
    unit: str
    of: Callable[[Turn], float]
    more_is_better: bool = False
    digits: int = 0


def python(turn: Turn) -> float:
    """Return the Python processes' time an order, in milliseconds."""
    return sum(time for name, time in turn.closed.processor.items() if name not in {*SERVERS, DRIVER})


def processor(process: str) -> Measure:
    """Return the measure of one process's time."""
    return Measure(process, "ms an order", lambda turn: turn.closed.processor.get(process, 0), digits=2)


def at(fraction: str, kind: str, percentile: str) -> Measure:
    """Return a latency at a fraction of capacity; `kind` is `post` or `end_to_end`."""

    def of(turn: Turn) -> float:
        loop = turn.opened.get(fraction)
        return float("nan") if loop is None else getattr(loop, kind)[percentile]

    return Measure(f"{percentile} at {fraction}", "ms", of)


FINISHED = Measure("orders finished", "a second", lambda turn: turn.closed.finished_rate, more_is_better=True)
ACCEPTED = Measure("orders accepted", "a second", lambda turn: turn.closed.accepted_rate, more_is_better=True)
PYTHON = Measure("Python's processor time", "ms an order", python, digits=2)
ALL = Measure(
    "processor time of all but the load generator",
    "ms an order",
    lambda turn: sum(time for name, time in turn.closed.processor.items() if name != DRIVER),
    digits=2,
)
KEPT = Measure("kept in databases", "bytes an order", lambda turn: turn.disk["databases"])
LOGGED = Measure("written to the write-ahead log", "bytes an order", lambda turn: turn.disk["write-ahead log"])
MEMORY = Measure(
    "memory of the Python processes",
    "MB",
    lambda turn: sum(size for name, size in turn.memory.items() if name not in SERVERS) / 1e6,
)
HALF_LOAD = at(HALF, "end_to_end", "p99")


def this_machine() -> Mapping[str, str]:
    """Return what figures depend on."""
    return {
        "processors": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
    }
