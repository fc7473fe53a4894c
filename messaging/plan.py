"""From what differs to what is done about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from messaging.topology import MOVING, Queue, Topology
from messaging.verify import Drift


@dataclass(frozen=True, slots=True)
class Plan:
    """What `topology apply` would do."""

    declare: Sequence[Drift]
    """What is missing."""
    move: Sequence[Queue]
    """Queues whose arguments changed, or that an interrupted move left half way: made anew without losing a message."""
    by_hand: Sequence[Drift]
    """What is never done here: an exchange cannot change, and what is not documented is nobody's to delete."""

    @property
    def refused(self) -> Sequence[Drift]:
        """What stands in the way of everything else: an exchange that differs."""
        return [drift for drift in self.by_hand if drift.kind == "different"]

    @property
    def empty(self) -> bool:
        """Whether the broker is as documented, as far as this can make it so."""
        return not self.declare and not self.move


def plan(wanted: Topology, drifts: Iterable[Drift]) -> Plan:
    """What to do about these differences; consumers are no business of the topology."""
    queues = {queue.name: queue for queue in wanted.queues}
    declare: list[Drift] = []
    by_hand: list[Drift] = []
    move: dict[str, Queue] = {}
    for drift in drifts:
        stand_in_for = drift.name.removesuffix(MOVING) if drift.name.endswith(MOVING) else None
        if drift.what == "consumer":
            continue
        if drift.kind == "missing":
            declare.append(drift)
        elif drift.what == "queue" and drift.kind == "different":
            move[drift.name] = queues[drift.name]
        elif drift.what == "queue" and stand_in_for in queues:
            move[stand_in_for] = queues[stand_in_for]
        elif MOVING not in drift.name:
            by_hand.append(drift)
    return Plan(declare, [queue for _, queue in sorted(move.items())], by_hand)


def show(what: Plan, console: Console) -> None:
    """The plan for people."""
    for drift in what.declare:
        console.print(
            f"[green]declare[/] {drift.what} {escape(drift.name)} {escape(drift.detail)}",
            highlight=False,
            soft_wrap=True,
        )
    for queue in what.move:
        console.print(
            f"[yellow]make anew[/] queue {queue.name}: a stand-in takes its bindings, its messages move there with "
            "confirms, it is deleted and declared as documented, and they move back",
            highlight=False,
            soft_wrap=True,
        )
    for drift in what.by_hand:
        verb = "[red]refused[/]" if drift in what.refused else "[dim]left alone[/]"
        console.print(f"{verb} {escape(str(drift))}", highlight=False, soft_wrap=True)
    if what.empty and not what.by_hand:
        console.print("[green]✓[/] nothing to do", highlight=False, soft_wrap=True)
