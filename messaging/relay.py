"""Sends what a crash, or an absent broker, left unsent in the outbox, and marks what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import structlog

from messaging import edge, inbox, outbox, suspects
from messaging.courier import Courier
from messaging.database import Database
from messaging.outbox import Outgoing
from messaging.transaction import lent

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds that a relay leaves messages alone which no broker took, doubling; whoever else can send them is told."""
LEASE = timedelta(seconds=8)
"""How long a relay has its messages for itself; then another one may take them."""
BATCH = 500
MARK_DELAY = 0.1
"""Seconds in which marks gather, to be written by one statement."""
PRUNE_BATCH = 5_000
PRUNE_INTERVAL = 300.0


class Marker:
    """Notes which outbox messages were confirmed, many in one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._confirmed: list[UUID] = []
        self._any = asyncio.Event()

    @property
    def pending(self) -> Collection[UUID]:
        """Confirmed, and not noted yet."""
        return self._confirmed

    def add(self, messages: Sequence[Outgoing]) -> None:
        """These were confirmed."""
        if messages:
            self._confirmed.extend(message.id for message in messages)
            self._any.set()

    async def run(self) -> None:
        """Write marks for ever."""
        while True:
            await self._any.wait()
            await asyncio.sleep(MARK_DELAY)
            await self.flush()

    async def flush(self) -> None:
        """Write what has gathered. After a failure it gathers on."""
        self._any.clear()
        ids, self._confirmed = self._confirmed, []
        if not ids:
            return
        try:
            async with lent(self._database) as driver:
                await edge.commit(outbox.Marks(driver, ids), edge.Step.SENT_COMMIT)
        except BaseException:
            self._confirmed = ids + self._confirmed
            self._any.set()
            raise


class Relay:
    """Sweeps the outbox: on every notification, and every `interval` seconds."""

    def __init__(  # noqa: PLR0913 - wired once, by name
        self,
        database: Database,
        courier: Courier,
        marker: Marker,
        *,
        interval: float,
        in_flight: Callable[[], Collection[UUID]],
        can_send: Callable[[], bool],
    ) -> None:
        self._database = database
        self._courier = courier
        self._marker = marker
        self._interval = interval
        self._in_flight = in_flight
        self._can_send = can_send
        self._wake = asyncio.Event()
        self._pause = 0.0

    async def run(self) -> None:
        """Sweep for ever."""
        async with self._listening():
            while True:
                while self._can_send() and await self.sweep() == BATCH:
                    pass
                await asyncio.sleep(self._pause)
                try:
                    await asyncio.wait_for(self._wake.wait(), self._interval)
                except TimeoutError:
                    continue
                self._wake.clear()

    async def sweep(self) -> int:
        """Send one batch of messages that are due; returns how many there were."""
        async with self._database.session() as db:
            due = await outbox.take_due(await db.connection(), skip=self._in_flight(), lease=LEASE, most=BATCH)
            await edge.commit(db, edge.Step.RELAY_COMMIT)
        if due:
            unsent = {message.id for message in await self._courier.send(due)}
            self._marker.add([message for message in due if message.id not in unsent])
            self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE) if unsent else 0.0
            log.info("outbox swept", found=len(due), unsent=len(unsent))
            if unsent:
                await hand_over(self._database, unsent)
                return 0
        return len(due)

    @asynccontextmanager
    async def _listening(self) -> AsyncGenerator[None]:
        """Be woken by NOTIFY. The connection is outside the pool, whose members are reset."""
        async with self._database.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver = raw.driver_connection
            if driver is None:
                msg = "no driver connection to listen on"
                raise RuntimeError(msg)

            def wake(*_: object) -> None:
                self._wake.set()

            await driver.add_listener(outbox.CHANNEL, wake)
            try:
                yield
            finally:
                if not driver.is_closed():
                    await driver.remove_listener(outbox.CHANNEL, wake)


async def hand_over(database: Database, ids: Collection[UUID]) -> None:
    """Let whichever relay is quickest send these."""
    async with database.session() as db:
        await outbox.hand_over(await db.connection(), ids)
        await edge.commit(db, edge.Step.RELAY_COMMIT)


async def prune(database: Database, age: timedelta) -> None:
    """Delete, for ever and in small batches, what was sent or received longer than `age` ago."""
    while True:
        for delete in (outbox.prune, inbox.prune, suspects.prune):
            while True:
                async with database.session() as db:
                    deleted = await delete(await db.connection(), age, PRUNE_BATCH)
                    await edge.commit(db, edge.Step.PRUNE_COMMIT)
                if deleted < PRUNE_BATCH:
                    break
        await asyncio.sleep(PRUNE_INTERVAL)
