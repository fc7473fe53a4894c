"""Frames that are dealt with in the turn of the event loop in which they are read.

aiormq passes each frame through a queue to a task of its channel, which has it wait for a turn of that task. Where
all that it takes is at hand, and no other frame of the channel is ahead, it need not. Naming such a kind of frame
changes aiormq's channels for the whole process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aiormq.channel import Channel
from typing_extensions import override

AtOnce = Callable[[Any, Any], bool]
"""Deals with a frame of a channel, or returns False: it is aiormq's. Must not raise."""

AT_ONCE: dict[type[Any], AtOnce] = {}
"""By kind of frame."""
_CHANNELS = cast("Any", Channel)
"""Without its types: the methods are private."""


def deal_at_once(kind: type[Any], usual: str, at_once: AtOnce) -> None:
    """Deal so with frames of exactly that kind; `usual` is the method by which aiormq does."""
    by_aiormq = getattr(_CHANNELS, usual)

    async def deal(channel: Any, frame: Any) -> None:
        if not at_once(channel, frame):
            await by_aiormq(channel, frame)

    setattr(_CHANNELS, usual, deal)
    AT_ONCE[kind] = at_once


class Frames(asyncio.Queue[Any]):
    """A channel's frames with their lengths, in the order in which they came."""

    def __init__(self, channel: Any) -> None:
        super().__init__(channel.frames.maxsize)
        self._channel = channel
        self._is_awaited = False

    @override
    async def get(self) -> Any:
        self._is_awaited = True
        try:
            return await super().get()
        finally:
            self._is_awaited = False

    @override
    async def put(self, item: Any) -> None:
        if self._is_awaited and self.empty():  # whoever reads has dealt with all that came before
            frame: object = item[1]
            at_once = AT_ONCE.get(type(frame))
            if at_once is not None and at_once(self._channel, frame):
                return
        await super().put(item)


_usual_init = _CHANNELS.__init__


def _init(channel: Any, *args: Any, **options: Any) -> None:
    _usual_init(channel, *args, **options)
    channel.frames = Frames(channel)  # the task that reads them has had no turn yet


_CHANNELS.__init__ = _init
