"""One lane for ordinary messages, side by side; and a turn with nobody else in the process for a suspect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Lane:
    """A lock that many share or one has alone. Whoever waits to be alone goes before those who come later."""

    def __init__(self) -> None:
        self._alone = asyncio.Lock()
        self._sharing = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def try_share(self) -> bool:
        """Run beside others, if nobody is alone or waits to be; whoever does `leave`s."""
        if self._alone.locked():
            return False
        self._sharing += 1
        self._empty.clear()
        return True

    def leave(self) -> None:
        """No longer run beside others."""
        self._sharing -= 1
        if not self._sharing:
            self._empty.set()

    @asynccontextmanager
    async def shared(self) -> AsyncGenerator[None]:
        """Run beside others."""
        async with self._alone:
            self._sharing += 1
            self._empty.clear()
        try:
            yield
        finally:
            self.leave()

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Run when everybody else has finished, and keep others waiting meanwhile."""
        async with self._alone:
            await self._empty.wait()
            yield
