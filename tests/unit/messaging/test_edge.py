"""Publishing and acknowledging: every wait is bounded, every failure has a name."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aio_pika.exceptions import ChannelInvalidStateError

from messaging import edge
from messaging.letters import Letter
from messaging.wire import Wire


class Broker:
    """Publishes as it is told."""

    def __init__(self, answer: Callable[[], Awaitable[Any]]) -> None:
        self._answer = answer
        self.options: dict[str, Any] = {}

    async def publish(self, message: bytes, **options: Any) -> Any:
        """Answer."""
        self.options = {"message": message, **options}
        return await self._answer()


async def publish(answer: Callable[[], Awaitable[Any]], seconds: float = 5) -> Any:
    """Publish on a broker that answers so."""
    return await edge.publish(Broker(answer), b"x", edge.Step.EVENT_PUBLISH, seconds)


async def confirm() -> str:
    """The broker's word."""
    return "ack"


async def never() -> None:
    """No word at all, as under a memory alarm."""
    await asyncio.Event().wait()


async def refuse() -> None:
    """A connection that is gone."""
    raise ConnectionResetError("gone")


async def lose_heartbeat() -> None:
    """A missed heartbeat surfaces as the cancellation of a task that nobody cancelled."""
    raise asyncio.CancelledError


async def test_every_message_is_persistent_and_must_be_routed() -> None:
    """Neither is FastStream's default."""
    broker = Broker(confirm)
    assert await edge.publish(broker, b"x", edge.Step.EVENT_PUBLISH, 5) == "ack"
    assert (broker.options["persist"], broker.options["mandatory"]) == (True, True)


async def test_a_silent_broker_is_not_waited_for_for_ever() -> None:
    """A confirm that does not come in time is a failed publish."""
    with pytest.raises(edge.Unanswered, match=r"no confirm within 0.01 s"):
        await publish(never, seconds=0.01)


async def test_a_lost_connection_is_a_failed_publish() -> None:
    """Whatever the driver raises has one name."""
    with pytest.raises(edge.PublishFailed, match="gone"):
        await publish(refuse)


async def closed() -> None:
    """A channel that the broker closed, and the driver did not open again."""
    raise ChannelInvalidStateError("Channel was not opened")


async def test_a_closed_channel_is_told_apart() -> None:
    """Its connection is alive, so nobody else replaces it: after a deleted exchange, say."""
    with pytest.raises(edge.ChannelClosed, match="not opened"):
        await publish(closed)
    letter = Letter("order.created", b"x", "id", "order", "type", "text", "user", "app", datetime.now(UTC), {})
    said = await edge.publish_batch(Wire("events", closed), [letter, letter], edge.Step.EVENT_PUBLISH, 5)
    assert [type(word) for word in said] == [edge.ChannelClosed] * 2


async def test_a_lost_heartbeat_is_a_failed_publish() -> None:
    """A CancelledError that nobody asked for does not end the relay silently."""
    with pytest.raises(edge.PublishFailed, match="connection was lost"):
        await publish(lose_heartbeat)


async def test_a_cancelled_publisher_is_cancelled() -> None:
    """A stop is a stop."""
    task = asyncio.create_task(publish(never))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Message:
    """A delivery whose channel is gone."""

    async def ack(self) -> None:
        """Fail."""
        raise RuntimeError("channel closed")

    async def nack(self, *, requeue: bool) -> None:
        """Fail."""
        raise RuntimeError(f"channel closed, requeue={requeue}")


async def test_an_ack_that_is_lost_is_named() -> None:
    """The broker delivers the message again; that is no error of the handler."""
    with pytest.raises(edge.AckLost, match="channel closed"):
        await edge.ack(Message())
