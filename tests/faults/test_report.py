"""What the report counts and shows."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.rules import ROOT
from tests.faults import report, suite
from tests.faults.catalogue import FAULTS, SHOWN_ELSEWHERE
from tests.faults.figures import Order, Recovery, Span, recovery
from tests.faults.runner import Outcome
from tests.faults.suite import Run, drawn

GOOD = Outcome(
    "broker-killed",
    6,
    "RabbitMQ is killed",
    "orders flow ≤ 5 s after it",
    seed=7,
    planned_rate=20,
    held_rate=19.6,
    accepted=120,
    recovery=Recovery(flow=1.25, backlog=3.5, median=2, p99=3.4, caught=40),
    goal_met=True,
)
BROKEN = Outcome("poison", 22, "broken messages", "none", seed=8, planned_rate=20, error="OSError: <gone>")


def test_recovery_is_timed_from_the_end_of_the_fault() -> None:
    """The first order placed after it gives the flow, those on their way at it the waits; the rest do not count."""
    orders = [Order(1, 2), Order(3, 14), Order(9, 12), Order(10.5, 13), Order(20, 21)]
    found = recovery(orders, [Span(5, 10)])
    assert found == Recovery(flow=3, backlog=4, median=3, p99=4, caught=2)


def test_of_several_ends_the_slowest_counts() -> None:
    """Each end has its own first order; the figure is that of the slowest."""
    orders = [Order(11, 12), Order(21, 27)]
    assert recovery(orders, [Span(5, 10), Span(15, 20)]).flow == 7


def test_an_order_that_never_came_is_no_recovery() -> None:
    """Where no order was placed after the end, there is no figure, and so no goal is met."""
    found = recovery([Order(1, 2)], [Span(5, 10)])
    assert found.flow != found.flow


def test_the_page_shows_every_figure(tmp_path: Path) -> None:
    """The page has a line for each fault and needs nothing from elsewhere; what a fault says is escaped."""
    told = report.told(Run("short", 7, outcomes=[GOOD, BROKEN], versions={"RabbitMQ": "0.0"}))
    report.write(told, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "20 (20)" in page
    assert "3.5 s" in page
    assert "OSError: &lt;gone&gt;" in page
    assert "http" not in page
    assert "./run faults --short --seed 7 --only broker-killed --only poison" in page
    assert "| 6 | broker-killed | 20 (20) | 120 | 0 | 0 | 0 | 1.2 s | 2.0 s | 3.4 s | 3.5 s |" in report.table(told)


def test_a_run_with_a_fault_that_was_not_done_is_not_safe() -> None:
    """Nothing is shown by a fault that could not be injected."""
    assert Run("short", 7, outcomes=[GOOD]).safe
    assert not Run("short", 7, outcomes=[GOOD, BROKEN]).safe


def test_the_same_seed_draws_the_same_faults() -> None:
    """A random run can be repeated."""
    first, again = (drawn(FAULTS, 7, 1) for _ in range(2))
    assert [next(first) for _ in range(9)] == [next(again) for _ in range(9)]


async def test_a_fault_that_is_drawn_again_has_other_customers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of its first turn, with their ids and keys, would only be told once more what became of their orders."""
    seeds: list[int] = []

    async def do(*given: Any) -> Outcome:
        seeds.append(given[3])
        return GOOD

    @asynccontextmanager
    async def opened(*_: object) -> AsyncGenerator[None]:
        yield

    async def versions(_: object) -> dict[str, str]:
        return {"RabbitMQ": "none"}

    for name, stand_in in {"do": do, "opened": opened, "_versions": versions}.items():
        monkeypatch.setattr(suite, name, stand_in)

    def tell(*_: object) -> None:
        """Nobody listens."""

    await suite.run([FAULTS[0], FAULTS[1], FAULTS[0]], "short", 7, tell)
    await suite.run([FAULTS[0]], "short", 7, tell)
    assert len({*seeds}) == 3
    assert seeds[3] == seeds[0]


def test_the_page_lists_every_fault() -> None:
    """docs/faults.md has the catalogue's lines."""
    _, _, rest = (ROOT / "docs/faults.md").read_text().partition("with the catalogue -->\n")
    assert rest.partition("\n<!-- /faults -->")[0] == report.catalogue()


def test_the_whole_table_is_there() -> None:
    """Each line of the table is a case, or names tests that exist."""
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert all((ROOT / path).is_file() for _, path in SHOWN_ELSEWHERE.values())
    assert {fault.number for fault in FAULTS} | set(SHOWN_ELSEWHERE) == set(range(1, 32))
