"""Whatever happens, in whatever order, to the four services on their real databases: every order ends, and adds up."""

import asyncio
import os
import random
import re
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.faults import FAULTS, Fault
from tests.machine.machine import Machine
from tests.machine.processes import SERVICES
from tests.machine.world import World

pytestmark = [pytest.mark.database, pytest.mark.timeout(400)]

Clone = Callable[[str], Awaitable[str]]

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example, HealthCheck.filter_too_much)
FEW = 20
MANY = 400
QUICK = 2
"""Planted faults that every run looks for; with --full, all."""
STEPS = 25
"""At most, before everything that is on its way is delivered."""


@contextmanager
def a_world(clone: Clone) -> Generator[tuple[asyncio.Runner, World]]:
    """Run the four services beside a test that is not asynchronous itself, as hypothesis needs it."""
    with asyncio.Runner() as runner:

        async def clones() -> dict[str, str]:
            return {name: await clone(name) for name in SERVICES}

        opening = World.opened(runner.run(clones()))
        world = runner.run(opening.__aenter__())
        try:
            yield runner, world
        finally:
            runner.run(opening.__aexit__(None, None, None))


def explore(clone: Clone, examples: int, number: int, *, shrink: bool = True) -> list[str]:
    """Run that many examples; return what was complained of. Prints the steps of a failing one, cut down if wanted."""
    complaints: list[str] = []
    with a_world(clone) as (runner, world):

        @seed(number)
        class Example(Machine):
            def __init__(self) -> None:
                super().__init__(runner, world, complaints)

        try:
            run_state_machine_as_test(
                Example,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=STEPS,
                    deadline=None,
                    database=None,
                    report_multiple_bugs=False,
                    phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
                    suppress_health_check=SLOW,
                ),
            )
        except (AssertionError, FlakyFailure):
            if shrink:
                raise
    return complaints


def test_some_histories(clone_database: Clone) -> None:
    """Repeated, reordered, lost, replayed, cancelled, expired, crashed: every order ends once, and the books add up."""
    explore(clone_database, FEW, 1)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_many_histories(clone_database: Clone) -> None:
    """The same, at length and with new histories each time: the seed is printed, MACHINE_SEED repeats a run."""
    number = int(os.environ.get("MACHINE_SEED") or random.SystemRandom().randrange(10**9))
    examples = int(os.environ.get("MACHINE_EXAMPLES") or MANY)
    print(f"MACHINE_SEED={number} MACHINE_EXAMPLES={examples}")  # noqa: T201 - pytest shows it with a failure
    explore(clone_database, examples, number)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.__name__, marks=[pytest.mark.slow] if index >= QUICK else [])
        for index, fault in enumerate(FAULTS)
    ],
)
def test_a_planted_fault_is_found(clone_database: Clone, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """The machine notices what it is for: a fault shows in the books, or in an order that never ends."""
    fault(monkeypatch)
    complaints = explore(clone_database, MANY, 1, shrink=False)
    assert [complaint for complaint in complaints if re.search(FAULTS[fault], complaint)], complaints
