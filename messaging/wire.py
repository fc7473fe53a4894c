"""Puts many messages on a channel at once: one write, and all confirms in flight together.

aiormq writes each message by itself and waits, under the channel's lock, until it is written, which takes a system call
and several turns of the event loop for each. Here a group's messages go in one piece. Confirms stay aiormq's business
(`Channel.confirmations`): acks, nacks, returns and a lost connection end the futures as they do for its own publishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from aiormq.abc import ChannelFrame

from messaging.letters import Letter

Confirmation = asyncio.Future[object]
"""Ends with Basic.Ack, or with why there is none."""


class Wire:
    """Publishes to one exchange, on whatever channel of aiormq is the present one."""

    def __init__(self, exchange: str, channel: Callable[[], Awaitable[Any]]) -> None:
        self._exchange = exchange
        self._channel = channel

    async def publish_batch(self, letters: Sequence[Letter]) -> list[Confirmation]:
        """Write them, mandatory, and return the confirmations to come. Raises what aiormq raises of a lost channel."""
        channel = await self._channel()
        async with channel.lock:
            first = channel.delivery_tag + 1
            confirmations = [self._expect(channel, letter) for letter in letters]
            written = channel.create_future()
            number, most = channel.number, channel.max_content_size
            frames = (frame for letter in letters for frame in letter.frames(number, self._exchange, most))
            try:
                await channel.write_queue.put(ChannelFrame(b"".join(frames), should_close=False, drain_future=written))
            except BaseException:  # the broker has seen none: their sequence numbers are free again
                for tag in range(first, first + len(letters)):
                    channel.confirmations.pop(tag).cancel()
                channel.delivery_tag = first - 1
                raise
            try:
                await written
            finally:
                written.cancel()
        return confirmations

    @staticmethod
    def _expect(channel: Any, letter: Letter) -> Confirmation:
        channel.delivery_tag += 1
        tag, message_id = channel.delivery_tag, letter.message_id
        confirmation: Confirmation = channel.create_future()
        channel.confirmations[tag] = confirmation
        channel.message_id_delivery_tag[message_id] = tag
        confirmation.add_done_callback(partial(_forget, channel, message_id, tag))
        return confirmation


def _forget(channel: Any, message_id: str, tag: int, confirmation: Confirmation) -> None:
    if channel.message_id_delivery_tag.get(message_id) == tag:
        del channel.message_id_delivery_tag[message_id]
    if not confirmation.cancelled():
        confirmation.exception()  # whoever has stopped waiting is not told
