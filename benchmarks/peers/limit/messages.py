"""Messages as ours are: the same bodies, properties and ids."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import orjson
from pamqp.commands import Basic
from uuid_utils.compat import uuid7

EXCHANGE = "orders.events"


class Heard(NamedTuple):
    """A message that came."""

    queue: str
    event_id: UUID
    order_id: UUID
    body: dict[str, Any]


class Said(NamedTuple):
    """A message that is to go, as it stands in the outbox."""

    id: UUID
    event_id: UUID
    name: str
    order_id: UUID
    body: str
    cause_id: UUID | None

    def properties(self, user: str) -> Basic.Properties:
        return Basic.Properties(
            content_type="application/json",
            headers={"x-causation-id": str(self.cause_id)} if self.cause_id else {},
            delivery_mode=2,
            correlation_id=str(self.order_id),
            message_id=str(self.event_id),
            timestamp=datetime.fromtimestamp(int(time.time()), UTC),
            message_type=f"{self.name}.v1",
            user_id=user,
        )


def hear(queue: str, body: bytes) -> Heard:
    """Read an event."""
    fields = orjson.loads(body)
    return Heard(queue, UUID(fields["event_id"]), UUID(fields["order_id"]), fields)


def say(name: str, order_id: UUID, cause_id: UUID | None, fields: Mapping[str, Any]) -> Said:
    """Make an event about an order."""
    event_id = uuid5(order_id, name)
    said_at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    head = {"event_id": event_id, "occurred_at": said_at, "version": 1, "order_id": order_id}
    return Said(uuid7(), event_id, name, order_id, orjson.dumps({**head, **fields}).decode(), cause_id)
