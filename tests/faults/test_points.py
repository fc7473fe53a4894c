"""No crash point is forgotten: what the code passes is what the suite kills at."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.services import SERVICES
from messaging.edge import Step
from tests.architecture.rules import ROOT, SHIPPED
from tests.faults import points
from tests.faults.cases.crashes import at_points


def steps_in(source: str) -> Iterator[str]:
    """The names of the steps that a module passes: `edge.Step.GROUP_COMMIT`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Attribute(attr="Step"), attr=name):
                yield name
            case ast.Attribute(value=ast.Name(id="Step"), attr=name):
                yield name
            case _:
                continue


def passed() -> set[str]:
    """Every step that production code passes."""
    modules = [path for package in SHIPPED for path in (ROOT / package).rglob("*.py")]
    assert Path(ROOT / "messaging/edge.py") in modules
    return {name for path in modules for name in steps_in(path.read_text())}


def test_every_registered_step_is_killed_at() -> None:
    """Each step of the edge is killed at by somebody, on both sides, in the full form of the run."""
    assert {kill.step for kill in points.ALL} == set(Step)
    assert {(kill.step, kill.side) for kill in points.ALL} == {(step, side) for step in Step for side in points.SIDES}


def test_every_step_that_is_passed_is_registered() -> None:
    """The code passes the registered steps, and no other: none is left that nothing passes any more."""
    assert passed() == {step.name for step in Step}


def test_a_step_that_nobody_registered_would_be_noticed() -> None:
    """A module that names another step is found."""
    assert list(steps_in("await edge.commit(db, edge.Step.NEW_COMMIT)")) == ["NEW_COMMIT"]
    assert list(steps_in("Step.OTHER")) == ["OTHER"]


def test_every_service_is_killed() -> None:
    """Every service is killed at points of its own, and the ten of the short form are among all."""
    assert set(SERVICES) <= {kill.process for kill in points.ALL}
    assert len(points.TEN) == 10
    assert {(kill.process, kill.step, kill.side) for kill in points.TEN} <= {
        (kill.process, kill.step, kill.side) for kill in points.ALL
    }


def test_points_can_be_named() -> None:
    """`--at` takes part of a name; one that is in none of them is refused, not taken for nothing to do."""
    assert at_points("full", ["payment at message.ack"]).name == "crash-points"
    with pytest.raises(LookupError, match="no crash point of the short form"):
        at_points("short", ["replay.publish"])
