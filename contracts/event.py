"""The base of every event: identity, time, version, and how one event follows from another."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, ClassVar, Self
from uuid import UUID, uuid5

from pydantic import AwareDatetime, ConfigDict, Field, PlainSerializer

from contracts.personal import Discreet

Timestamp = Annotated[
    AwareDatetime,
    PlainSerializer(
        lambda moment: moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        return_type=str,
        when_used="json",
    ),
]
"""A moment with a time zone; written as RFC 3339 in UTC."""


class Event(Discreet):
    """Something that happened, said in the past tense; immutable.

    Within a version changes are additive only, and unknown fields are ignored, so an old consumer reads a newer
    message. Numbers are strict: `true` or `"1"` is no integer.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, ser_json_inf_nan="null", allow_inf_nan=False)

    name: ClassVar[str]
    """The routing key, for example `order.created`; from version 2 on it ends in the version: `order.created.v2`.

    So each version has its own queues, and a consumer that knows only the old one never meets the new one.
    """
    schema_version: ClassVar[int] = 1
    deprecated: ClassVar[str] = ""
    """Why nobody should begin to use it, and what to use instead; empty while it is current."""

    event_id: UUID = Field(description="Identity of the event; equal to the AMQP property message_id.")
    occurred_at: Timestamp = Field(description="When it happened, in UTC.")
    version: int = Field(default=1, ge=1, description="Version of this event's schema.")

    @classmethod
    def message_type(cls) -> str:
        """The AMQP property `type`: name and version, for example `order.created.v1`."""
        return f"{cls.name}.v1" if cls.schema_version == 1 else cls.name

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        """Refuse a class whose name and version contradict each other, or that would be written with another one."""
        suffix = re.search(r"\.v\d+$", getattr(cls, "name", ""))
        stated = "" if cls.schema_version == 1 else f".v{cls.schema_version}"
        if (suffix[0] if suffix else "") != stated:
            msg = f"{cls.__name__}: version {cls.schema_version} is not that of the name {cls.name!r}"
            raise TypeError(msg)
        if cls.model_fields["version"].default != cls.schema_version:
            msg = f"{cls.__name__}: the default of the field `version` is not {cls.schema_version}"
            raise TypeError(msg)

    @classmethod
    def example(cls) -> Self:
        """A complete, valid event, as shown in the published document."""
        raise NotImplementedError

    def carried(self, names: set[str]) -> dict[str, object]:
        """The named fields that this event has."""
        return {name: getattr(self, name) for name in names & type(self).model_fields.keys()}


class OrderEvent(Event):
    """An event in the life of one order.

    Its id is UUIDv5(order id, event name): a service says each event at most once an order, and saying it again is
    the same message.
    """

    order_id: UUID = Field(description="The order that it belongs to; equal to the AMQP property correlation_id.")

    @classmethod
    def id_for(cls, order_id: UUID) -> UUID:
        """The id that this event has for that order (RFC 9562, version 5)."""
        return uuid5(order_id, cls.name)

    @classmethod
    def about(cls, order_id: UUID, **fields: object) -> Self:
        """This event for that order, happening now."""
        return cls.model_validate(
            {
                "event_id": cls.id_for(order_id),
                "order_id": order_id,
                "occurred_at": datetime.now(UTC),
                "version": cls.schema_version,
                **fields,
            }
        )

    @classmethod
    def of(cls, cause: OrderEvent, **fields: object) -> Self:
        """This event as the consequence of another.

        The order is the cause's, and so is every field of the same name that is not given: an order's lines and
        address travel with the events that need them.
        """
        return cls.about(cause.order_id, **(cause.carried(_own_fields(cls)) | fields))


@cache
def _own_fields(kind: type[OrderEvent]) -> set[str]:
    """Those that not every event has."""
    return kind.model_fields.keys() - OrderEvent.model_fields.keys()
