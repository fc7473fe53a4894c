"""State tables as data: what a service does when an event meets an order row.

A cell says which state follows and which events are said. A cell that keeps the state says its events *again*: the
same ids, the same bodies, no new effect. A missing cell is an anomaly: no change, nothing said, noted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contracts.event import OrderEvent

type_of_event = type[OrderEvent]


@dataclass(frozen=True, slots=True)
class Step:
    """The cell that applies: `state` follows (None keeps it), `says` is published, in this order."""

    state: str | None = None
    says: tuple[type_of_event, ...] = ()
    anomaly: bool = False


ANOMALY = Step(anomaly=True)

Cell = Step | Mapping[str, Step]
"""One step, or one for each evidence that a remote call or the locked rows can give."""


def to(state: str, *says: type_of_event) -> Step:
    """Enter `state` and say these events."""
    return Step(state, says)


def again(*says: type_of_event) -> Step:
    """Stay, and say again what was said before."""
    return Step(None, says)


class Lifecycle:
    """One service's state table: for each event, for each state, a cell."""

    def __init__(self, table: Mapping[type_of_event, Mapping[str, Cell]]) -> None:
        self.table = table

    def step(self, state: str, event: type_of_event, evidence: str | None = None) -> Step:
        """The step that `event` takes a row in `state`, given the evidence. Never raises: no cell is an anomaly."""
        cell = self.table.get(event, {}).get(state, ANOMALY)
        if isinstance(cell, Step):
            return cell
        return ANOMALY if evidence is None else cell.get(evidence, ANOMALY)

    def cells(self) -> Iterator[tuple[type_of_event, str, str | None, Step]]:
        """Every cell as (event, state, evidence, step), for tests and for the drawn diagram."""
        for event, row in self.table.items():
            for state, cell in row.items():
                if isinstance(cell, Step):
                    yield event, state, None, cell
                else:
                    for evidence, step in cell.items():
                        yield event, state, evidence, step
