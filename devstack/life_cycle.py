"""docs/life-cycle.md: the order's status and each service's state table, drawn from the tables that run."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import inventory.domain
import payment.domain
import shipping.domain
from contracts import OrderCancelRequested, OrderCreated, OrderEvent
from messaging.lifecycle import Lifecycle
from order_api.domain import RULES, Status, status_of

PAGE = Path("docs", "life-cycle.md")
LIFECYCLES = {
    "payment": payment.domain.LIFECYCLE,
    "inventory": inventory.domain.LIFECYCLE,
    "shipping": shipping.domain.LIFECYCLE,
}
NEW = "new"

Edge = tuple[str, str]


_INTRODUCTION = """# The life of an order

<!-- Written by ./run asyncapi from the services' tables; a test compares. -->

Each service knows its own part of an order, and says what it did as an event. The order API collects these facts; the
order's status follows from the set of them, so neither the order in which they arrive nor repetition matters. What each
service does is a table, and these are the tables that run (`domain.py` in each service;
[why](decisions/0007-the-order-row-is-the-memory.md)). In a service's diagram an arrow is marked with the event that
causes it, what the gateway, the carrier or the stock answered, and what is said: `event [answer] / says`.

## The status
"""

_RULES = """\
A fact that arrives ahead of an earlier one takes the order straight to the later status. Of several facts the first
rule that applies decides:
"""

_FINAL = """\
`ready`, `rejected` and `cancelled` are final. A fact that speaks for a second final status is kept, and noted as an
anomaly on the timeline; the life cycle does not make one.
"""

_AGAIN = """Heard again, or after what it asks for was done, an event changes nothing, and the answer is said again:
"""


def page() -> str:
    """Return the page's text."""
    rules = [(", ".join(f"`{fact}`" for fact in sorted(rule.facts)), f"`{rule.status}`") for rule in RULES]
    ends = [status for status in Status if status.final]
    parts = [
        _INTRODUCTION,
        _diagram(_status_edges(), ends),
        _RULES,
        _table(["with any of these facts", "an order is"], rules),
        _FINAL,
    ]
    for service, lifecycle in LIFECYCLES.items():
        parts += [f"## {service.capitalize()}\n", _diagram(_moves(lifecycle)), _AGAIN, _said_again(lifecycle)]
    return "\n".join(parts)


def _moves(lifecycle: Lifecycle) -> dict[Edge, list[str]]:
    """Each step that changes the state: what causes it, and what is said."""
    edges: defaultdict[Edge, list[str]] = defaultdict(list)
    for event, state, evidence, step in lifecycle.cells():
        if step.state is not None and step.state != state:
            cause = event.name if evidence is None else f"{event.name} [{evidence}]"
            edges[state, step.state].append(f"{cause} / {', '.join(said.name for said in step.says)}")
    return edges


def _said_again(lifecycle: Lifecycle) -> str:
    rows = [
        (f"`{event.name}`", f"`{state}`" + (f", {evidence}" if evidence else ""), _names(step.says))
        for event, state, evidence, step in lifecycle.cells()
        if step.state is None
    ]
    return _table(["event", "in state", "says again"], rows)


def _names(events: Iterable[type[OrderEvent]]) -> str:
    return ", ".join(f"`{event.name}`" for event in events)


@dataclass(frozen=True, slots=True)
class _World:
    """What was said so far, and the state of each service."""

    said: frozenset[str]
    states: tuple[str, ...]

    @property
    def status(self) -> Status:
        return status_of(self.said)

    def following(self) -> Iterator["_World"]:
        """Every world that one fact more makes of this one; events are heard in any order, and again."""
        if not self.status.final:
            yield _World(self.said | {OrderCancelRequested.name}, self.states)
        for index, lifecycle in enumerate(LIFECYCLES.values()):
            for event, state, _, step in lifecycle.cells():
                if event.name in self.said and state == self.states[index] and step.state is not None:
                    states = (*self.states[:index], step.state, *self.states[index + 1 :])
                    yield _World(self.said | {each.name for each in step.says}, states)


def _status_edges() -> dict[Edge, list[str]]:
    """Play all tables against each other: which status follows which, when the order API hears each fact at once."""
    start = _World(frozenset({OrderCreated.name}), (NEW,) * len(LIFECYCLES))
    seen, todo, edges = {start}, [start], defaultdict[Edge, set[str]](set)
    while todo:
        world = todo.pop()
        for following in world.following():
            if world.status != following.status:
                edges[world.status, following.status] |= following.said - world.said
            if following not in seen:
                seen.add(following)
                todo.append(following)
    return {edge: sorted(names) for edge, names in sorted(edges.items(), key=_by_status)}


def _by_status(item: tuple[Edge, object]) -> tuple[int, int]:
    order = [*Status]
    before, after = item[0]
    return order.index(Status(before)), order.index(Status(after))


def _diagram(edges: dict[Edge, list[str]], ends: Iterable[str] = ()) -> str:
    first = next(iter(edges))[0]
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {before} --> {after}: {'<br>'.join(labels)}" for (before, after), labels in edges.items()]
    lines += [f"    {end} --> [*]" for end in ends]
    return "\n".join([*lines, "```\n"])


def _table(head: list[str], rows: Iterable[Iterable[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *rows])
