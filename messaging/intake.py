"""The consumers of a service: stopped before it stops, paused while its database is away.

FastStream has no public way to cancel a consumer and keep its subscriber, so this module alone reaches for the two
private attributes that hold it. After a lost connection, or a deleted queue, aio-pika itself consumes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from aio_pika import RobustQueue

from messaging.broker import TwoConnectionBroker

TASK_DEPTH = 5
"""Turns of the event loop, and to spare, from a delivery's arrival to its message being in progress."""
SETTLE_TIME = 0.2
"""Seconds in which RabbitMQ applies the last acks: a quorum queue does so in the background, and forgets those that
are still on their way when their channel closes."""


class Intake:
    """Cancels and starts again all consumers of a broker."""

    def __init__(self, broker: TwoConnectionBroker) -> None:
        self._broker = broker
        self._lock = asyncio.Lock()
        self.paused = False
        self._stopped = False

    async def stop(self) -> None:
        """Pause for good."""
        self._stopped = True
        await self.pause()

    async def pause(self) -> None:
        """Take no more messages; those in progress go on. What the broker has sent already is still handled."""
        async with self._lock:
            self.paused = True
            for subscriber in self._subscribers():
                queue, tag = _consumer(subscriber)
                if queue is not None and tag is not None:
                    subscriber._consumer_tag = None  # noqa: SLF001
                    if not queue.channel.is_closed:
                        await _cancel(queue, tag)

    async def resume(self) -> None:
        """Take messages again, unless it was stopped. Raises what the broker's driver raises while it is away."""
        if self._stopped:
            return
        async with self._lock:
            for subscriber in self._subscribers():
                queue, tag = _consumer(subscriber)
                if queue is not None and tag is None:
                    subscriber._consumer_tag = await queue.consume(subscriber.consume)  # noqa: SLF001
            self.paused = False

    async def settle(self) -> None:
        """Let the broker apply the acks that it was sent, before the connection is closed."""
        if self._broker.connected:
            await asyncio.sleep(SETTLE_TIME)

    async def idle_queues(self) -> list[str]:
        """The queues that nobody consumes here, as the broker confirmed it to this process."""
        idle: list[str] = []
        for subscriber in self._subscribers():
            queue, tag = _consumer(subscriber)
            if queue is None or tag is None or queue.channel.is_closed or tag not in await _confirmed_tags(queue):
                idle.append(subscriber.queue.name)
        return idle

    def _subscribers(self) -> Iterator[Any]:
        return iter(self._broker.subscribers)


def _consumer(subscriber: Any) -> tuple[RobustQueue | None, str | None]:
    return subscriber._queue_obj, subscriber._consumer_tag  # noqa: SLF001


async def _cancel(queue: RobustQueue, tag: str) -> None:
    """Cancel a consumer and still handle what the broker sent before it knew.

    A quorum queue's deliveries may follow the cancel-ok on the channel; dropped, they would come again as redelivered.
    The round trip behind the cancellation brings the last of them.
    """
    channel: Any = await queue.channel.get_underlay_channel()
    deliver = channel.consumers.get(tag)
    await queue.cancel(tag)
    if deliver is not None:
        channel.consumers[tag] = deliver
        await channel.basic_qos()
        del channel.consumers[tag]
        for _ in range(TASK_DEPTH):  # the tasks of these deliveries begin: from here on they count as in progress
            await asyncio.sleep(0)


async def _confirmed_tags(queue: RobustQueue) -> set[str]:
    """The consumers on the queue's channel that the broker knows of; it tells us when it drops one."""
    channel: Any = await queue.channel.get_underlay_channel()
    return set(channel.consumers)
