"""Takes whatever comes out of queues of dead letters: stored in groups, and only then acknowledged.

Nothing is read of a message but its envelope, so nothing can be wrong with it. While the database is away the messages
stay with the broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from messaging import edge
from messaging.away import Away
from messaging.database import is_unavailable

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 100
"""Dead letters that are stored together at most."""
MOST_BYTES = 16 * 1024 * 1024
"""Bytes of bodies that are stored together, unless a single one has more."""
PREFETCH = 20
"""Unacknowledged dead letters of one queue: they may be large."""
PAUSE = 1.0
"""Seconds before what could not be stored is tried again."""
LONGEST_HOLD = 1200.0
"""Seconds that a dead letter is held while the database is away; the broker takes it back after 30 minutes."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message as it lay in its queue. Any property may be missing, any header may be anything."""

    queue: str
    """The queue that it was taken from."""
    body: bytes = field(repr=False)
    headers: Mapping[str, Any]
    routing_key: str
    message_id: str | None = None
    type: str | None = None
    correlation_id: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    timestamp: datetime | None = None
    app_id: str | None = None


Store = Callable[[Sequence[DeadLetter]], Awaitable[None]]
"""Stores them in one transaction, each once, however often it is called with it."""


@dataclass(eq=False, slots=True)
class _Held:
    letter: DeadLetter
    message: Any


class Collector:
    """Deliveries that come while one transaction runs share the next."""

    def __init__(self, store: Store, away: Away) -> None:
        self._store = store
        self._away = away
        self._waiting: asyncio.Queue[_Held] = asyncio.Queue()

    def take(self, queue: str, message: Any) -> None:
        """Take a delivery; it is acknowledged later, by `run`."""
        self._waiting.put_nowait(_Held(read(queue, message), message))

    async def run(self) -> None:
        """Store and acknowledge, for ever."""
        while True:
            batch = [await self._waiting.get()]
            size = len(batch[0].letter.body)
            while len(batch) < MOST_AT_ONCE and size < MOST_BYTES and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
                size += len(batch[-1].letter.body)
            await self._keep(batch)

    async def _keep(self, batch: Sequence[_Held]) -> None:
        """Store them together; one that cannot be stored fails alone, and goes back to its queue."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            try:
                await self._store([held.letter for held in batch])
            except Exception as error:
                if is_unavailable(error) or isinstance(error, OSError):
                    self._away.report(away=True)
                    log.warning("dead letters wait for the database", count=len(batch), error=type(error).__name__)
                    if clock() - began < LONGEST_HOLD:
                        await asyncio.sleep(PAUSE)
                        continue
                elif len(batch) > 1:
                    middle = len(batch) // 2
                    await self._keep(batch[:middle])
                    await self._keep(batch[middle:])
                    return
                else:
                    log.exception("dead letter not stored", queue=batch[0].letter.queue)
                    await asyncio.sleep(PAUSE)
                for held in batch:
                    await edge.requeue(held.message)
                return
            self._away.report(away=False)
            break
        for held in batch:
            try:
                await edge.ack(held.message)
            except edge.AckLost as lost:
                log.info("dead letter comes again", queue=held.letter.queue, reason=str(lost))


def read(queue: str, message: Any) -> DeadLetter:
    """The dead letter that a delivery brought. FastStream makes up an id where there is none; this does not."""
    raw = message.raw_message
    return DeadLetter(
        queue=queue,
        body=message.body,
        headers=dict(raw.headers or {}),
        routing_key=raw.routing_key or "",
        message_id=raw.message_id,
        type=raw.type,
        correlation_id=raw.correlation_id,
        content_type=raw.content_type,
        content_encoding=raw.content_encoding,
        timestamp=raw.timestamp,
        app_id=raw.app_id,
    )
