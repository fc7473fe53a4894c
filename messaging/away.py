"""While the database is away, nothing is taken from the broker: no attempt is burned, no message is parked."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from messaging.intake import Intake

log = structlog.get_logger(__name__)


TRY_AGAIN = 30.0
"""Seconds after which some messages are taken to find out, should nobody be trying any more."""


class Away:
    """Whether the database answers, as the units of work see it, who keep trying."""

    def __init__(self) -> None:
        self._gone = asyncio.Event()
        self._back = asyncio.Event()
        self._back.set()

    def report(self, *, away: bool) -> None:
        """Say what the last attempt found."""
        (self._gone if away else self._back).set()
        (self._back if away else self._gone).clear()

    @property
    def is_away(self) -> bool:
        """What the last attempt found."""
        return self._gone.is_set()

    async def wait_until_back(self) -> None:
        """Return once an attempt has succeeded again."""
        await self._back.wait()

    async def keep(self, intake: Intake) -> None:
        """Pause the intake whenever the database is gone, for ever; started anew, finish what was left undone."""
        while True:
            if intake.paused:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._back.wait(), TRY_AGAIN)
                await intake.resume()
                log.warning("intake goes on")
            await self._gone.wait()
            log.warning("database is away: intake pauses")
            await intake.pause()
