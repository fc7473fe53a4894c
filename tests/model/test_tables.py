"""The services' tables are the ones that were designed, cell by cell."""

import re
from collections.abc import Iterator
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple

import pytest

from inventory import domain as inventory
from messaging.lifecycle import ANOMALY, Lifecycle, Step
from order_api.domain import Status, settled, status_of
from payment import domain as payment
from shipping import domain as shipping
from tests.model.designed import names_in, table
from tests.model.system import EVENTS, FACTS, OrderEventType

_ANSWER = re.compile(r"(?:(?P<evidence>\w+) )?(?:→ (?P<state>\w+), )?say (?P<says>.+)")
_EVERY_SET_OF_FACTS = [
    frozenset(event.name for event in facts) for size in range(len(FACTS) + 1) for facts in combinations(FACTS, size)
]


class Designed(NamedTuple):
    """One service's design beside its code."""

    service: str
    code: Lifecycle
    states: type[StrEnum]
    evidence: type[StrEnum]


SERVICES = (
    Designed("payment", payment.LIFECYCLE, payment.State, payment.Verdict),
    Designed("inventory", inventory.LIFECYCLE, inventory.State, inventory.Cover),
    Designed("shipping", shipping.LIFECYCLE, shipping.State, shipping.Verdict),
)


def event_named(name: str) -> OrderEventType:
    """Find the event of this name."""
    return next(event for event in EVENTS if event.name == name)


def steps_of(service: str, cell: str) -> dict[str | None, Step]:
    """Read a designed cell: the step for each evidence, None standing for any."""
    if cell == "!":
        return {None: ANOMALY}
    answers = [_ANSWER.fullmatch(answer) for answer in cell.split(" · ")]
    return {
        answer["evidence"]: Step(
            answer["state"], tuple(event_named(f"{service}.{said}") for said in answer["says"].split(", "))
        )
        for answer in answers
        if answer is not None
    }


def cells() -> Iterator[tuple[Designed, str, str, str]]:
    """Every designed cell: service, state, event and content."""
    for designed in SERVICES:
        heading, *rows = table(designed.service)
        for state, *contents in rows:
            for event, content in zip(heading[1:], contents, strict=True):
                yield designed, state, event, content


@pytest.mark.parametrize(
    ("designed", "state", "event", "content"),
    [pytest.param(*cell, id=f"{cell[0].service}-{cell[1]}-{cell[2]}") for cell in cells()],
)
def test_a_cell_is_as_designed(designed: Designed, state: str, event: str, content: str) -> None:
    """For every evidence there is, the table takes the designed step; any other evidence is an anomaly."""
    expected = steps_of(designed.service, content)
    assert len(expected) == len(content.split(" · ")), f"cannot read {content!r}"
    for evidence in (None, *designed.evidence):
        step = designed.code.step(state, event_named(event), evidence)
        assert step == expected.get(evidence, expected.get(None, ANOMALY)), (state, event, evidence)


@pytest.mark.parametrize("designed", SERVICES, ids=lambda designed: designed.service)
def test_a_table_has_the_designed_states_and_events(designed: Designed) -> None:
    """Nothing is in the code that the design does not name, and the other way round."""
    heading, *rows = table(designed.service)
    assert {event.name for event in designed.code.table} == set(heading[1:])
    assert [row[0] for row in rows] == list(designed.states)
    assert {state for row in designed.code.table.values() for state in row} <= set(designed.states)


def test_the_status_of_every_set_of_facts_is_as_designed() -> None:
    """The first line whose facts are there gives the status, for every set of facts."""
    rules = [(names_in(facts), status) for facts, status, _ in table("status")[1:]]
    assert len(_EVERY_SET_OF_FACTS) == 2 ** len(FACTS)
    for facts in _EVERY_SET_OF_FACTS:
        assert status_of(facts) == next(status for needs, status in rules if facts & needs or not needs)


def test_the_final_statuses_are_as_designed() -> None:
    """Ready, rejected and cancelled are final, the others are not."""
    assert {status: "yes" if status.final else "no" for status in Status} == {
        status: final for _, status, final in table("status")[1:]
    }


def test_settled_is_as_designed() -> None:
    """An order is settled when declined, or voided, or both captured and shipped; for each set of facts."""
    ends = [names_in(facts) for (facts,) in table("settled")[1:]]
    for facts in _EVERY_SET_OF_FACTS:
        assert settled(facts) == any(facts >= end for end in ends)
