"""What the parts of an order cost: read from `costs.json`, which `fit.py` writes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

FILE = Path("benchmarks/capacity/costs.json")
"""From the root of the checkout."""


@dataclass(frozen=True)
class Cost:
    """Processor time in milliseconds: of each group, and of each message in it."""

    group: float
    message: float

    def of(self, messages: float) -> float:
        """Seconds that a group of so many takes."""
        return (self.group + self.message * messages) / 1000


@dataclass(frozen=True)
class Costs:
    """Everything that the simulation is fed with."""

    machine: Mapping[str, str]
    """Where it was measured."""
    services: Mapping[str, Cost]
    rabbitmq: Cost
    postgresql: Cost
    customer: float
    """Of the load generator, for each order: it shares the machine."""
    wait: float
    """Milliseconds from one service to the next while no processor works: RabbitMQ's disk, mostly."""

    def save(self, path: Path = FILE) -> None:
        """Keep them."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path = FILE) -> "Costs":
        """Read what was kept."""
        return TypeAdapter(cls).validate_python(json.loads(path.read_text()))
