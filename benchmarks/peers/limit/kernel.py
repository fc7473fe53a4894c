"""Carries groups of messages: all that are ready in one transaction, confirms in flight together, one multiple ack."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import aiormq
import asyncpg
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from benchmarks.peers.limit.messages import EXCHANGE, Heard, Said, hear
from benchmarks.peers.limit.statements import MARK_SENT

PREFETCH = 400
"""Of each queue."""
GROUP = 200
"""Messages that share a transaction at most."""
MARK_SECONDS = 0.1

Handle = Callable[[asyncpg.Connection, Sequence[Heard]], Awaitable[Sequence[Said]]]


async def connect() -> asyncpg.Connection:
    """Open a connection to the service's database.

    It has no compiler, which takes longer than what it compiles, and no plan that was made for a smaller table.
    """
    return await asyncpg.connect(os.environ["DATABASE_URL"], server_settings={"jit": "off", "enable_seqscan": "off"})


@dataclass(frozen=True)
class Done:
    """A group that is committed."""

    said: Sequence[Said]
    last_tag: int
    """Of the delivery that ends it; 0 for orders, which nobody delivered."""


class Kernel:
    """One service's consumer and publisher."""

    def __init__(self, queues: Sequence[str], handle: Handle) -> None:
        self._queues = queues
        self._handle = handle
        self._arrived: list[tuple[str, DeliveredMessage]] = []
        self._ready = asyncio.Event()
        self._done: asyncio.Queue[Done] = asyncio.Queue()
        self._sent: list[UUID] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect, consume, and go on until the process ends, which it does when any of this fails."""
        url = os.environ["AMQP_URL"]
        self._user = urlsplit(url).username or ""
        self._outward = cast("Channel", await (await aiormq.connect(url)).channel(publisher_confirms=True))
        self._inward = await (await aiormq.connect(url)).channel()
        await self._inward.basic_qos(prefetch_count=PREFETCH)
        for work in (self._work(await connect()), self._send(), self._mark(await connect())):
            task = asyncio.create_task(work)
            task.add_done_callback(_end_with_it)
            self._tasks.append(task)
        for queue in self._queues:
            await self._inward.basic_consume(queue, self._receiver(queue))

    def send(self, said: Sequence[Said]) -> None:
        """Publish what was committed elsewhere."""
        self._done.put_nowait(Done(said, 0))

    def _receiver(self, queue: str) -> Callable[[DeliveredMessage], Coroutine[Any, Any, None]]:
        async def receive(message: DeliveredMessage) -> None:
            self._arrived.append((queue, message))
            self._ready.set()

        return receive

    async def _work(self, db: asyncpg.Connection) -> None:
        while True:
            await self._ready.wait()
            group, self._arrived = self._arrived[:GROUP], self._arrived[GROUP:]
            if not self._arrived:
                self._ready.clear()
            heard = {
                (queue, message.header.properties.message_id): hear(queue, message.body) for queue, message in group
            }
            said = await self._handle(db, [*heard.values()])
            self._done.put_nowait(Done(said, group[-1][1].delivery_tag or 0))

    async def _send(self) -> None:
        while True:
            done = [await self._done.get()]
            while not self._done.empty():
                done.append(self._done.get_nowait())
            said = [message for group in done for message in group.said]
            await asyncio.gather(*(self._publish(self._outward, message) for message in said))
            if last := max(group.last_tag for group in done):
                await self._inward.basic_ack(last, multiple=True, wait=False)
            self._sent += [message.id for message in said]

    async def _publish(self, channel: Channel, message: Said) -> None:
        await channel.basic_publish(
            message.body.encode(),
            exchange=EXCHANGE,
            routing_key=message.name,
            properties=message.properties(self._user),
            mandatory=True,
            wait=False,  # for the socket; the confirm is waited for
        )

    async def _mark(self, db: asyncpg.Connection) -> None:
        await db.execute("SET synchronous_commit TO off")  # losing the note is harmless
        while True:
            await asyncio.sleep(MARK_SECONDS)
            if self._sent:
                sent, self._sent = self._sent, []
                await db.execute(MARK_SENT, sent)


def _end_with_it(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        print(repr(error))  # noqa: T201 - into the log that the run shows
        os._exit(1)
