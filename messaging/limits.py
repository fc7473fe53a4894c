"""Time limits that cost little: all of one length share one timer of the event loop.

`asyncio.timeout` takes 7 µs, most of it for a timer of its own that never fires. A message that asks a remote end is
under two limits, and so is a request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Pending:
    """What happens at the end of a limit, unless it is over before."""

    __slots__ = ("ends", "expire")

    def __init__(self, ends: float, expire: Callable[[], object]) -> None:
        self.ends = ends
        self.expire: Callable[[], object] | None = expire

    def over(self) -> None:
        """Nothing is to happen any more."""
        self.expire = None


class TimeLimit:
    """One length of time, in seconds, for whatever many tasks of an event loop do."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: deque[Pending] = deque()
        """By their ends, as they all take equally long."""
        self._is_watched = False

    def start(self, expire: Callable[[], object]) -> Pending:
        """Let `expire` be called when the time is over, unless that is called off."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # tests have many
            self._loop, self._is_watched = loop, False
            self._pending.clear()
        while self._pending and self._pending[0].expire is None:
            self._pending.popleft()
        pending = Pending(loop.time() + self.seconds, expire)
        self._pending.append(pending)
        if not self._is_watched:
            self._watch(loop)
        return pending

    def bound(self) -> Bound:
        """A block that is left with TimeoutError when the time is over, as of `asyncio.timeout`."""
        return Bound(self)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_watched = bool(self._pending)
        if self._is_watched:
            loop.call_at(self._pending[0].ends, self._end_what_is_due, loop)

    def _end_what_is_due(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._pending and (self._pending[0].expire is None or self._pending[0].ends <= now):
            if expire := self._pending.popleft().expire:
                expire()
        self._watch(loop)


class Bound:
    """Cancels the task that is in the block, and makes a TimeoutError of it, unless it was cancelled otherwise, too.

    https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.uncancel
    """

    __slots__ = ("_before", "_limit", "_pending", "_task", "expired")

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self.expired = False
        """Whether the time was over."""

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - of a running event loop
        self._task, self._before = task, task.cancelling()
        self._pending = self._limit.start(self._expire)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._pending.over()
        if self.expired and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()
