"""Acknowledges many deliveries by few frames: all up to a delivery tag, where everything up to it was handled.

A channel numbers its deliveries. What was handled out of order is acknowledged one by one, in the same write, so that
no message waits for another (https://www.rabbitmq.com/docs/confirms#consumer-acks-multiple-parameter).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from aio_pika import IncomingMessage
from aiormq.abc import ChannelFrame
from aiormq.exceptions import ChannelInvalidStateError
from pamqp.commands import Basic


class Delivered(Protocol):
    """A message that came on a channel."""

    @property
    def channel(self) -> Any:
        """The channel. Raises ChannelInvalidStateError once it is closed."""
        ...

    @property
    def delivery_tag(self) -> int | None:
        """The message's number there."""
        ...


class Tags:
    """Which deliveries of a channel were handled."""

    def __init__(self) -> None:
        self._all_up_to = 0
        self._beyond: set[int] = set()

    def handled(self, tags: Sequence[int]) -> None:
        """These were, and the broker knows, or is told."""
        self._beyond.update(tag for tag in tags if tag > self._all_up_to)
        while self._all_up_to + 1 in self._beyond:
            self._all_up_to += 1
            self._beyond.discard(self._all_up_to)

    def acks(self, tags: Sequence[int]) -> Iterator[Basic.Ack]:
        """The frames that acknowledge these, which no other frame has yet.

        RabbitMQ knows no tag that was acknowledged before, so the one that stands for others is one of these.
        """
        self.handled(tags)
        together = [tag for tag in tags if tag <= self._all_up_to]
        if together:
            yield Basic.Ack(delivery_tag=max(together), multiple=True)
        for tag in tags:
            if tag > self._all_up_to:
                yield Basic.Ack(delivery_tag=tag, multiple=False)


class Acks:
    """Acknowledges what came on any channel of a service."""

    def __init__(self) -> None:
        self._channels: WeakKeyDictionary[Any, Tags] = WeakKeyDictionary()

    def note(self, message: IncomingMessage) -> None:
        """Take into account that a message may have been acknowledged, or given back, by itself."""
        if message.processed:
            with suppress(ChannelInvalidStateError):  # with the channel, its tags are gone
                self._tags(message.channel).handled([_tag(message)])

    async def ack_batch(self, messages: Sequence[Delivered]) -> None:
        """Acknowledge them. Raises ChannelInvalidStateError if a channel is gone: what came on it comes again."""
        by_channel: defaultdict[Any, list[int]] = defaultdict(list)
        gone: Exception | None = None
        for message in messages:
            try:
                by_channel[message.channel].append(_tag(message))
            except ChannelInvalidStateError as error:
                gone = error
        for channel, tags in by_channel.items():
            frames = list(self._tags(channel).acks(tags))
            written = channel.create_future()
            await channel.write_queue.put(ChannelFrame.marshall(channel.number, frames, written))  # pyright: ignore[reportUnknownMemberType]
            await written
        if gone is not None:
            raise gone

    def _tags(self, channel: Any) -> Tags:
        return self._channels.setdefault(channel, Tags())


def _tag(message: Delivered) -> int:
    assert message.delivery_tag is not None  # noqa: S101 - every delivery has one
    return message.delivery_tag
