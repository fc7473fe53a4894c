"""Frames that are dealt with as they are read, and never ahead of one that came before."""

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from messaging.channels import AT_ONCE, Frames


class Sooner:
    """A kind of frame that needs nothing that is not at hand."""


class Later:
    """Any other kind."""


class Dealt(asyncio.Queue[Any]):
    """What was dealt with, in order."""

    is_able = True

    def at_once(self, _: object, frame: Any) -> bool:
        """Deal with a frame, if one is able to."""
        if self.is_able:
            self.put_nowait(frame)
        return self.is_able


@pytest_asyncio.fixture
async def dealt(monkeypatch: pytest.MonkeyPatch) -> Dealt:
    """Deal at once with frames that are Sooner."""
    made = Dealt()
    monkeypatch.setitem(AT_ONCE, Sooner, made.at_once)
    return made


@pytest_asyncio.fixture
async def frames(dealt: Dealt) -> AsyncGenerator[Frames]:
    """Frames of a channel whose task is slow with each that it gets."""
    made = Frames(SimpleNamespace(frames=asyncio.Queue[Any]()))

    async def read() -> None:
        while True:
            _, frame = await made.get()
            await asyncio.sleep(0)
            dealt.put_nowait(frame)

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    yield made
    task.cancel()


async def test_a_frame_that_nobody_is_ahead_of_is_dealt_with_at_once(frames: Frames, dealt: Dealt) -> None:
    """In the turn in which it is read."""
    await frames.put((9, frame := Sooner()))
    assert dealt.get_nowait() is frame
    assert frames.empty()


async def test_no_frame_goes_ahead_of_another(frames: Frames, dealt: Dealt) -> None:
    """Neither while one waits, nor while the channel's task is busy with one."""
    came = [Later(), Sooner(), Later(), Sooner()]
    for frame in came:
        await frames.put((9, frame))
        await asyncio.sleep(0)  # the task has the first one now, and the queue may be empty
    assert [await dealt.get() for _ in came] == came
    for frame in (together := [Later(), Sooner()]):
        await frames.put((9, frame))
    assert [await dealt.get() for _ in together] == together


async def test_what_cannot_be_dealt_with_is_left_to_the_channel(frames: Frames, dealt: Dealt) -> None:
    """Such as a delivery whose body is still to come."""
    dealt.is_able = False
    await frames.put((9, frame := Sooner()))
    assert frames.qsize() == 1
    assert await dealt.get() is frame
