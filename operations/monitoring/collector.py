"""A snapshot of the whole system, again and again. It only reads, and each source has its own time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from messaging.disclosure import in_a_line
from operations.monitoring.metrics import HEARTBEAT, SOURCE_UNREADABLE, Sample, sample

log = structlog.get_logger(__name__)

SOURCE_TIMEOUT = 8.0
"""Seconds that a source may take; then the snapshot is made without it."""


class Source(Protocol):
    """Something that can be asked for samples."""

    @property
    def name(self) -> str:
        """The source's name in SourceUnreadable."""
        ...

    async def read(self) -> Sequence[Sample]:
        """What it says now. Raises whatever keeps it from it."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was seen at a moment."""

    taken_at: datetime
    samples: tuple[Sample, ...]


Sink = Callable[[Snapshot], None]
"""Takes a snapshot in; returns at once."""


class Collector:
    """Asks the sources, all at once, and hands what they say to the sinks."""

    def __init__(self, sources: Sequence[Source], interval: float, sinks: Sequence[Sink] = ()) -> None:
        self._sources = sources
        self._interval = interval
        self._sinks = sinks
        self._silent: set[str] = set()

    async def watch(self) -> None:
        """Take a snapshot every `interval` seconds, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            begun = clock()
            await self.look()
            await asyncio.sleep(max(self._interval - (clock() - begun), 0.0))

    async def look(self) -> Snapshot:
        """Take one now."""
        taken_at = datetime.now(UTC)
        told = await asyncio.gather(*(self._ask(source) for source in self._sources))
        snapshot = Snapshot(taken_at, (*(each for samples in told for each in samples), sample(HEARTBEAT, 1)))
        for sink in self._sinks:
            sink(snapshot)
        return snapshot

    async def _ask(self, source: Source) -> Sequence[Sample]:
        """What the source says, and whether it said anything. A source that fails is a finding, never an end."""
        try:
            async with asyncio.timeout(SOURCE_TIMEOUT):
                samples = await source.read()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told: by a metric and by the log
            if source.name not in self._silent:
                log.warning("monitoring cannot read a source", source=source.name, error=in_a_line(error))
            self._silent.add(source.name)
            return [sample(SOURCE_UNREADABLE, 1, source.name)]
        self._silent.discard(source.name)
        return [*samples, sample(SOURCE_UNREADABLE, 0, source.name)]
