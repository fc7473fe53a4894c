"""Breadth first through every reachable state, remembering the shortest way to each."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)

Steps = Iterable[tuple[object, S]]
"""What can happen, and the state that follows; what happens is printed by `str`."""


@dataclass
class Report(Generic[S]):
    """What an exploration saw. `violations`: what is wrong, and the shortest history that shows it."""

    states: int = 0
    at_rest: list[S] = field(default_factory=list[S])
    violations: dict[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        """Print each violation under its history."""
        found = (f"{wrong}\n    {history}" for wrong, history in self.violations.items())
        return "\n".join((f"{self.states} states, {len(self.at_rest)} at rest", *found))


def explore(
    start: S,
    successors: Callable[[S], Steps[S]],
    rests: Callable[[S], bool],
    check: Callable[[S], Iterable[str]],
) -> Report[S]:
    """Visit every state that `successors` reaches. `check` names what is wrong in a state."""
    report = Report[S]()
    came: dict[S, tuple[S, object] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        for wrong in check(state):
            if wrong not in report.violations:
                report.violations[wrong] = " ; ".join(reversed(list(_history(came, state))))
        if rests(state):
            report.at_rest.append(state)
        for label, following in successors(state):
            if following not in came:
                came[following] = (state, label)
                waiting.append(following)
    report.states = len(came)
    return report


def _history(came: dict[S, tuple[S, object] | None], state: S) -> Iterator[str]:
    while step := came[state]:
        state, label = step
        yield str(label)
