"""The one row that a service keeps per order: its memory, which makes every repeat harmless."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, cast
from uuid import UUID

from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from contracts.event import OrderEvent
from messaging.lifecycle import Lifecycle, Step
from messaging.rows import PlainRow
from messaging.tables import PERSONAL_BODY

E = TypeVar("E", bound=OrderEvent)

NEW = "new"
"""The state of a row that no event has met yet."""


class OrderRow(PlainRow):
    """Mixin of a service's order table. The unit of work creates and locks the row before a handler sees it.

    Rows are never pruned before the order is settled: a late replay must meet its row.
    """

    not_needed: ClassVar[frozenset[str]] = frozenset()
    """Columns, large ones, that no handler of a message looks at: they are not read for it."""

    order_id: UUID = Field(primary_key=True)
    state: str = Field(default=NEW, sa_type=Text, sa_column_kwargs={"server_default": NEW})
    said: dict[str, Any] = Field(
        default_factory=dict, sa_type=JSONB, sa_column_kwargs={"server_default": "{}", **PERSONAL_BODY}
    )
    """The bodies of the events said about the order, by name; what is said again is taken from here."""
    anomalies: list[dict[str, Any]] = Field(
        default_factory=list, sa_type=JSONB, sa_column_kwargs={"server_default": "[]"}
    )
    """Events that met a state in which they cannot happen; none was applied."""

    def take(self, lifecycle: Lifecycle, event: OrderEvent, evidence: str | None = None) -> Step:
        """Take the step that the table gives, moving the state or noting the anomaly; the caller says the events."""
        step = lifecycle.step(self.state, type(event), evidence)
        if step.anomaly:
            note = {"event": event.name, "event_id": str(event.event_id), "state": self.state, "evidence": evidence}
            if note not in self.anomalies:
                self.anomalies = [*self.anomalies, note]
        elif step.state is not None:
            self.state = step.state
        return step

    def answer(self, step: Step, makers: Mapping[Any, Callable[[], E]]) -> list[E]:
        """The events that the step says: each made and remembered the first time, repeated ever after.

        `makers` makes the events that can be said here for the first time. Raises KeyError for one that was never
        said and that nothing makes: the table and the handler disagree.
        """
        events: list[E] = []
        for kind in step.says:
            body = self.said.get(kind.name)
            if body is None:
                event = makers[kind]()
                self.said = {**self.said, kind.name: event.model_dump(mode="json")}
            else:
                event = cast("E", kind.model_validate(body, strict=False))
            events.append(event)
        return events
