"""Puts many messages on a channel at once: one write, and all confirms in flight together.

aiormq writes each message by itself and waits, under the channel's lock, until it is written, which takes a system call
and several turns of the event loop for each. Here a group's messages go in one piece, and one future waits for all that
the broker says of them. Confirms stay aiormq's business (`Channel.confirmations`): acks, nacks, returns and a lost
connection end what waits for them as they do for its own publishes.

Importing this module lets aiormq end at once whatever the broker confirms with one frame, for the whole process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiormq.abc import ChannelFrame
from pamqp.commands import Basic

from messaging.channels import deal_at_once
from messaging.letters import Letter


class Confirms:
    """What the broker says of messages that were written together."""

    def __init__(self, channel: Any, count: int) -> None:
        self.words: list[object] = [None] * count
        """Of each message Basic.Ack, or the exception that tells why there is none. None: nothing was said so far."""
        self.over: asyncio.Future[None] = channel.create_future()
        """Ends when something was said of each; with an exception, or cancelled, when nothing more will be."""
        self._silent = count

    def said(self, at: int, word: object) -> None:
        """Something was said of the message with that index."""
        if self.words[at] is None:
            self.words[at] = word
            self._silent -= 1
            if not self._silent and not self.over.done():
                self.over.set_result(None)


class _Confirm:
    """One message's share of them, in the place where aiormq looks for its future."""

    __slots__ = ("_at", "_channel", "_confirms", "_message_id", "_tag")

    def __init__(self, channel: Any, tag: int, message_id: str, confirms: Confirms, at: int) -> None:
        self._channel, self._tag, self._message_id = channel, tag, message_id
        self._confirms, self._at = confirms, at

    def done(self) -> bool:
        return self._confirms.words[self._at] is not None

    def cancelled(self) -> bool:
        return False

    def set_result(self, word: object) -> None:
        self.forget()
        self._confirms.said(self._at, word)

    def set_exception(self, error: BaseException) -> None:
        self.set_result(error)

    def forget(self) -> None:
        """A message that is returned is not this one any more."""
        if self._channel.message_id_delivery_tag.get(self._message_id) == self._tag:
            del self._channel.message_id_delivery_tag[self._message_id]


class Wire:
    """Publishes to one exchange, on whatever channel of aiormq is the present one."""

    def __init__(self, exchange: str, channel: Callable[[], Awaitable[Any]]) -> None:
        self._exchange = exchange
        self._channel = channel

    async def publish_batch(self, letters: Sequence[Letter]) -> Confirms:
        """Write them, mandatory, and return the confirms to come. Raises what aiormq raises of a lost channel."""
        channel = await self._channel()
        async with channel.lock:
            confirms, first = Confirms(channel, len(letters)), channel.delivery_tag + 1
            for at, letter in enumerate(letters):
                tag, message_id = first + at, letter.message_id
                channel.confirmations[tag] = _Confirm(channel, tag, message_id, confirms, at)
                channel.message_id_delivery_tag[message_id] = tag
            channel.delivery_tag += len(letters)
            written = channel.create_future()
            number, most = channel.number, channel.max_content_size
            try:
                frames = b"".join(frame for letter in letters for frame in letter.frames(number, self._exchange, most))
                await channel.write_queue.put(ChannelFrame(frames, should_close=False, drain_future=written))
            except BaseException:  # the broker has seen none: their sequence numbers are free again
                for tag in range(first, first + len(letters)):
                    channel.confirmations.pop(tag).forget()
                channel.delivery_tag = first - 1
                raise
            try:
                await written
            finally:
                written.cancel()
        return confirms


def _confirm(channel: Any, frame: Basic.Ack) -> bool:
    """End what one frame confirms; aiormq ends each of many in a turn of the event loop of its own."""
    if not channel.publisher_confirms or frame.delivery_tag not in channel.confirmations:
        return False
    last = frame.delivery_tag
    for tag in [tag for tag in channel.confirmations if tag <= last] if frame.multiple else [last]:
        channel._confirm_delivery(tag, frame)  # noqa: SLF001
    return True


deal_at_once(Basic.Ack, "_on_confirm_frame", _confirm)
