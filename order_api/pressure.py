"""Refuses new orders while there is too much to do already, so that what was accepted is still done in time."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import structlog
from sqlalchemy import text

from messaging.database import Database
from rest.reading import reading

log = structlog.get_logger(__name__)

_UNSENT = text("SELECT count(*) FROM (SELECT FROM outbox WHERE sent_at IS NULL LIMIT :limit) AS unsent")
"""Counts no further than to the limit: the answer costs the same however many there are."""


class Overloaded(Exception):  # noqa: N818 - an outcome
    """The order was not accepted; it may be in a moment."""


class Pressure:
    """Two bounds: requests in progress in this process, and events that wait in the outbox for the broker."""

    def __init__(self, database: Database, most_waiting: int, most_unsent: int, interval: float) -> None:
        self._database = database
        self._most_waiting = most_waiting
        self._most_unsent = most_unsent
        self._interval = interval
        self._waiting = 0
        self._full = False

    @contextmanager
    def taken(self) -> Generator[None]:
        """Work on one more order meanwhile. Raises Overloaded, before anything was done, if that is one too many."""
        if self._full:
            msg = "too many events wait for the message broker"
            raise Overloaded(msg)
        if self._waiting >= self._most_waiting:
            msg = "too many orders are being accepted at this moment"
            raise Overloaded(msg)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def watch(self) -> None:
        """Look at the outbox again and again. Raises what the database raises; until it is back, nothing changes."""
        while True:
            await self.look()
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Look at the outbox now."""
        async with reading(self._database) as db:
            unsent: int = (await (await db.connection()).execute(_UNSENT, {"limit": self._most_unsent})).scalar_one()
        full = unsent >= self._most_unsent
        if full != self._full:
            log.warning("outbox full, orders refused" if full else "outbox has room, orders accepted", unsent=unsent)
        self._full = full
