"""Answers in time."""

import asyncio

import pytest

from messaging.database import DatabaseUnavailable
from messaging.limits import TimeLimit
from rest import reading
from rest.reading import answered


async def test_an_answer_in_time_is_passed_on() -> None:
    """What the work returns or raises is the caller's."""

    async def fail() -> None:
        raise LookupError

    assert await answered(asyncio.sleep(0, "done")) == "done"
    with pytest.raises(LookupError):
        await answered(fail())


async def test_no_answer_in_time_is_an_absent_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller does not wait for work that does not end when it is told to; its late error disturbs nobody."""
    monkeypatch.setattr(reading, "DEADLINE", TimeLimit(0.01))
    release, ended = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()
            ended.set()
            raise LookupError

    with pytest.raises(DatabaseUnavailable):
        await answered(stubborn())
    assert not ended.is_set()
    release.set()
    await ended.wait()


async def test_work_ends_with_its_caller() -> None:
    """A request that is cancelled leaves nothing behind."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    caller = asyncio.create_task(answered(work()))
    await begun.wait()
    caller.cancel()
    await ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await caller
