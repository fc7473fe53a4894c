"""The only place that commits, publishes and acknowledges. Every call passes a named crash point.

`CRASH_AT=<name>` kills the process, as `kill -9` would, when it passes that point; `CRASH_AT=<name>:3` on the third
pass. The points are `<step>.before` and `<step>.after`, with the steps of `Step`. Unset, a point is one comparison.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from aio_pika.exceptions import ChannelInvalidStateError

from messaging.supervisor import is_cancelled

if TYPE_CHECKING:
    from messaging.acks import Acks
    from messaging.letters import Letter
    from messaging.wire import Wire


class Step(StrEnum):
    """The named edges, where a crash can part what belongs together."""

    GROUP_COMMIT = "group.commit"
    SENT_COMMIT = "sent.commit"
    RELAY_COMMIT = "relay.commit"
    PRUNE_COMMIT = "prune.commit"
    SUSPECT_COMMIT = "suspect.commit"
    ERASURE_COMMIT = "erasure.commit"
    EVENT_PUBLISH = "event.publish"
    RETRY_PUBLISH = "retry.publish"
    DEAD_PUBLISH = "dead.publish"
    MOVE_PUBLISH = "move.publish"
    REPLAY_PUBLISH = "replay.publish"
    MESSAGE_ACK = "message.ack"
    MESSAGE_REQUEUE = "message.requeue"
    PREPARE = "prepare"
    REMOTE_CALL = "remote.call"


class Committable(Protocol):
    """A transaction, or a session."""

    async def commit(self) -> None:
        """Commit."""
        ...


class Publisher(Protocol):
    """A FastStream publisher or broker."""

    async def publish(self, message: Any, /, **options: Any) -> Any:
        """Publish and return the broker's confirm."""
        ...


class Acknowledgeable(Protocol):
    """A delivered message."""

    async def ack(self) -> None:
        """Tell the broker that it may forget the message."""
        ...

    async def nack(self, *, requeue: bool) -> None:
        """Tell the broker to deliver it again."""
        ...


class PublishFailed(Exception):  # noqa: N818 - an outcome
    """The broker did not confirm: the message may or may not have arrived."""


class Unanswered(PublishFailed):
    """The broker said nothing in time."""


class ChannelClosed(PublishFailed):
    """The broker closed the channel over something published on it, and the driver did not open it again."""


class AckLost(Exception):  # noqa: N818 - an outcome
    """The message could not be acknowledged; it comes again, and its inbox key makes that harmless."""


_point, _, _count = os.environ.get("CRASH_AT", "").partition(":")
_passes_left = int(_count or 1)


def crash_point(name: str, passes: int = 1) -> None:
    """Die here, by SIGKILL, if the environment says so. What is done for many at once counts as so many passes."""
    global _passes_left  # noqa: PLW0603 - the count belongs to the process
    if name == _point:
        _passes_left -= passes
        if _passes_left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def commit(transaction: Committable, step: Step) -> None:
    """Commit a transaction, or a session's."""
    crash_point(f"{step}.before")
    await transaction.commit()
    crash_point(f"{step}.after")


async def publish(publisher: Publisher, body: bytes, step: Step, timeout: float, **options: Any) -> Any:  # noqa: ASYNC109
    """Publish persistently and wait, at most `timeout` seconds, for what the broker says; returns that.

    Raises PublishFailed when it says no, says nothing, or is gone. FastStream ignores its own `timeout`, and a lost
    heartbeat surfaces as CancelledError of a task that nobody cancelled; both are told apart here.
    """
    crash_point(f"{step}.before")
    try:
        async with asyncio.timeout(timeout):
            confirm = await publisher.publish(body, persist=True, mandatory=True, **options)
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        raise PublishFailed("the connection was lost while waiting for the confirm") from None
    except TimeoutError:
        raise Unanswered(f"no confirm within {timeout:g} s") from None
    except ChannelInvalidStateError as error:
        raise ChannelClosed(str(error)) from error
    except Exception as error:
        raise _failed(error) from error
    crash_point(f"{step}.after")
    return confirm


async def publish_batch(wire: Wire, letters: Sequence[Letter], step: Step, timeout: float) -> list[Any]:  # noqa: ASYNC109
    """Publish them together and wait, at most `timeout` seconds; returns what the broker said of each, in their order.

    That is its confirm, or PublishFailed where it said no, said nothing (Unanswered), or is gone.
    """
    crash_point(f"{step}.before", len(letters))
    ends = asyncio.get_running_loop().time() + timeout
    try:
        async with asyncio.timeout_at(ends):
            confirms = await wire.publish_batch(letters)
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        return [PublishFailed("the connection was lost while publishing")] * len(letters)
    except TimeoutError:
        return [Unanswered(f"nothing could be written within {timeout:g} s")] * len(letters)
    except ChannelInvalidStateError as error:
        return [ChannelClosed(str(error))] * len(letters)
    except Exception as error:  # noqa: BLE001 - told to whoever sends
        return [_failed(error)] * len(letters)
    await asyncio.wait([confirms.over], timeout=ends - asyncio.get_running_loop().time())
    silence = _silence(confirms.over, timeout)
    said = [_said(word, silence) for word in confirms.words]
    crash_point(f"{step}.after", sum(not isinstance(word, PublishFailed) for word in said))
    return said


def _silence(over: asyncio.Future[None], timeout: float) -> PublishFailed:
    """What it means that nothing was said of a message."""
    if not over.done():
        return Unanswered(f"no confirm within {timeout:g} s")
    error = None if over.cancelled() else over.exception()
    return PublishFailed("the connection was lost while waiting for the confirm") if error is None else _failed(error)


def _said(word: object, silence: PublishFailed) -> Any:
    if word is None:
        return silence
    return _failed(word) if isinstance(word, BaseException) else word


def _failed(error: BaseException) -> PublishFailed:
    return PublishFailed(f"{type(error).__name__}: {error}")


async def requeue(message: Acknowledgeable) -> None:
    """Give a message back to its queue, before the broker's consumer timeout (30 minutes) ends the channel."""
    crash_point(f"{Step.MESSAGE_REQUEUE}.before")
    await message.nack(requeue=True)
    crash_point(f"{Step.MESSAGE_REQUEUE}.after")


async def ack_batch(acks: Acks, messages: Sequence[Any]) -> None:
    """Acknowledge messages together, as `ack` does each. Raises AckLost if that reached not all of them."""
    crash_point(f"{Step.MESSAGE_ACK}.before", len(messages))
    try:
        await acks.ack_batch(messages)
    except Exception as error:
        raise AckLost(f"{type(error).__name__}: {error}") from error
    crash_point(f"{Step.MESSAGE_ACK}.after", len(messages))


async def ack(message: Acknowledgeable) -> None:
    """Acknowledge a message whose effect is stored and whose events are confirmed.

    Raises AckLost when the channel that delivered it is gone: the broker delivers it again.
    """
    crash_point(f"{Step.MESSAGE_ACK}.before")
    try:
        await message.ack()
    except Exception as error:
        raise AckLost(f"{type(error).__name__}: {error}") from error
    crash_point(f"{Step.MESSAGE_ACK}.after")
