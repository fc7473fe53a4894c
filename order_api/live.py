"""Timelines as they happen. One statement an interval serves everybody who watches, and none runs when nobody does."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import BigInteger, Uuid, column, values
from sqlmodel import and_, col, select

from messaging.database import Database
from order_api.models import Fact, position
from rest.reading import reading

MOST_WATCHERS = 1_000
"""In this process; each is a connection that stays open."""


class TooManyWatchers(Exception):  # noqa: N818 - an outcome
    """No more connections are kept open here."""


@dataclass(eq=False, slots=True)
class Watcher:
    """Somebody who wants what happens to an order after a position."""

    order_id: UUID
    after: int
    news: asyncio.Queue[Sequence[Fact] | None] = field(default_factory=asyncio.Queue[Sequence[Fact] | None])


class Live:
    """Reads new facts of the watched orders every `interval` seconds."""

    def __init__(self, database: Database, interval: float) -> None:
        self._database = database
        self._interval = interval
        self.watchers: set[Watcher] = set()
        self._somebody = asyncio.Event()
        self._closed = False

    def check_room(self) -> None:
        """Raise TooManyWatchers when no more connections are kept open here."""
        if len(self.watchers) >= MOST_WATCHERS:
            raise TooManyWatchers

    async def watch(self) -> None:
        """Tell for ever. Raises what the database raises; nothing is lost by it, for positions are remembered."""
        while True:
            if not self.watchers:
                self._somebody.clear()
                await self._somebody.wait()
            await self.look()
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Tell every watcher what is new."""
        watchers = tuple(self.watchers)
        known: dict[UUID, int] = {}
        for watcher in watchers:
            known[watcher.order_id] = min(watcher.after, known.get(watcher.order_id, watcher.after))
        if not known:
            return
        wanted = values(column("order_id", Uuid), column("after", BigInteger), name="wanted").data([*known.items()])
        newer = and_(col(Fact.order_id) == wanted.c.order_id, col(Fact.position) > wanted.c.after)
        async with reading(self._database) as db:
            facts = (await db.exec(select(Fact).join(wanted, newer).order_by(col(Fact.position)))).all()
        for watcher in watchers:
            news = [fact for fact in facts if fact.order_id == watcher.order_id and position(fact) > watcher.after]
            if news:
                watcher.after = position(news[-1])
                watcher.news.put_nowait(news)

    async def follow(self, order_id: UUID, after: int, heartbeat: float) -> AsyncGenerator[Sequence[Fact]]:
        """Yield what happens to an order after a position; nothing every `heartbeat` seconds. Ends with `close`."""
        with self._watching(order_id, after) as watcher:
            while True:
                news: Sequence[Fact] | None = ()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(heartbeat):
                        news = await watcher.news.get()
                if news is None:
                    return
                yield news

    def close(self) -> None:
        """Let everybody go: the process is to end."""
        self._closed = True
        for watcher in self.watchers:
            watcher.news.put_nowait(None)

    @contextlib.contextmanager
    def _watching(self, order_id: UUID, after: int) -> Generator[Watcher]:
        watcher = Watcher(order_id, after)
        if self._closed:
            watcher.news.put_nowait(None)
        self.watchers.add(watcher)
        self._somebody.set()
        try:
            yield watcher
        finally:
            self.watchers.discard(watcher)
