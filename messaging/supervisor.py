"""Background tasks that outlive their failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from messaging.disclosure import in_a_line

log = structlog.get_logger(__name__)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between a failure and the next start, doubling from the first to the longest."""
HEALTHY_AFTER = 10.0
"""A run of this many seconds counts as success: the pause starts small again."""


class Supervisor:
    """Runs named coroutines until told to stop; one that ends or fails is started again."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep `work` running under that name."""
        self._tasks[name] = asyncio.create_task(self._keep(name, work), name=name)

    async def stop(self) -> None:
        """Cancel every task and wait for its end."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE
        while True:
            started = clock()
            try:
                await work()
                reason = "it returned"
            except asyncio.CancelledError:
                # A lost broker connection surfaces as CancelledError inside a task that nobody cancelled.
                if is_cancelled():
                    raise
                reason = "its connection was lost"
            except Exception as error:  # noqa: BLE001 - a supervisor's duty; it is logged and run again
                reason = f"{type(error).__name__}: {in_a_line(error)}"
            if is_cancelled():  # what was cancelled amid a statement may fail over its connection instead
                return
            if clock() - started > HEALTHY_AFTER:
                pause = FIRST_PAUSE
            log.warning("background task restarts", task=name, reason=reason, pause=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def is_cancelled() -> bool:
    """Whether this task was asked to end, whatever became of the CancelledError that told it so."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
