"""The receipt of a replayed dead letter, which whoever handled it publishes."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Self
from uuid import UUID, uuid5

from pydantic import Field

from contracts.event import Event
from contracts.order_api import OrderCreated


class Effect(StrEnum):
    """What a replay did."""

    APPLIED = "applied"
    """It changed something: nothing had been known of the message."""
    NONE = "none"
    """Nothing was changed: the message was known, or what it tells."""


class ReplayHandled(Event):
    """A replayed dead letter was handled to its end; every service says so of its own.

    A crash may make two receipts of one replay: `applied` by the delivery that changed something, and `none` by the
    one that came after it. The first is the truth.
    """

    name: ClassVar[str] = "replay.handled"

    replay_id: UUID = Field(description="The replay; equal to the header x-replay-id of the message.")
    queue: Annotated[str, Field(max_length=255, description="The work queue that it was replayed into.")]
    message_id: UUID = Field(description="The message that was replayed.")
    effect: Effect = Field(strict=False, description="What it did.")

    @classmethod
    def about(cls, replay_id: UUID, queue: str, message_id: UUID, effect: Effect) -> Self:
        """The receipt of that replay, now."""
        return cls(
            event_id=uuid5(replay_id, f"{cls.name}:{effect}"),
            occurred_at=datetime.now(UTC),
            replay_id=replay_id,
            queue=queue,
            message_id=message_id,
            effect=effect,
        )

    @classmethod
    def example(cls) -> Self:
        """The example order's receipt."""
        order = OrderCreated.example()
        replay_id = UUID("0197f3c2-5a00-7000-8000-00000000d1ad")
        receipt = cls.about(replay_id, "payment.order.created", order.event_id, Effect.APPLIED)
        return receipt.model_copy(update={"occurred_at": order.occurred_at})
