"""Faults one after another: one system is kept for many, and given up as soon as one of them broke it."""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from devstack.services import API, SERVICES
from tests.faults.fault import Fault, Form
from tests.faults.lab import Lab, opened
from tests.faults.runner import Outcome, do, seed_of
from tests.invariants.books import ask

Tell = Callable[[Fault, Outcome | None], None]
"""Told of each fault when it begins, and of what came of it when it is over."""
OWN_DATABASES: dict[Form, tuple[str, ...]] = {"smoke": (API,), "short": (API, "payment"), "full": SERVICES}
"""The services with a PostgreSQL of their own, by form."""


@dataclass
class Run:
    """What a run came to."""

    form: Form
    seed: int
    began: float = field(default_factory=time.time)
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    versions: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0

    @property
    def safe(self) -> bool:
        """Whether every fault was done, and no invariant is broken."""
        return all(outcome.safe for outcome in self.outcomes)


async def run(faults: Iterable[Fault], form: Form, seed: int, tell: Tell, rate: float | None = None) -> Run:
    """Do these faults; what they break is in the outcomes. Nothing of it outlives the run."""
    found, began = Run(form, seed), time.monotonic()
    lab, kept, turns = None, AsyncExitStack(), Counter[str]()
    try:
        for fault in faults:
            tell(fault, None)
            if lab is None:
                folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="faults-"))
                lab = await kept.enter_async_context(opened(Path(folder), OWN_DATABASES[form]))
                found.versions = found.versions or await _versions(lab)
            turns[fault.name] += 1
            outcome = await do(lab, fault, form, seed_of(seed, fault.name, turns[fault.name]), rate)
            found.outcomes.append(outcome)
            tell(fault, outcome)
            if fault.spoils or not outcome.safe:
                await kept.aclose()
                lab, kept = None, AsyncExitStack()
    finally:
        await kept.aclose()
    found.seconds = time.monotonic() - began
    return found


def drawn(faults: Iterable[Fault], seed: int, minutes: float) -> Iterator[Fault]:
    """Faults drawn by lot until the time is over: the same seed draws the same ones."""
    dice, among = random.Random(seed), list(faults)  # noqa: S311 - a test's dice
    ends = time.monotonic() + 60 * minutes
    while time.monotonic() < ends:
        yield dice.choice(among)


async def _versions(lab: Lab) -> dict[str, str]:
    async with httpx2.AsyncClient() as http:
        overview: dict[str, Any] = (await http.get(f"{lab.system.management_url}/api/overview")).json()
    database = (await ask(lab.system.wiring.databases[API], "SHOW server_version"))[0][0]["server_version"]
    return {"RabbitMQ": str(overview["rabbitmq_version"]), "PostgreSQL": str(database).split()[0]}
