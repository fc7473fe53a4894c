"""Time limits: they end what takes too long, as asyncio's own do, and share a timer."""

import asyncio
import gc
from asyncio import Event
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import pytest

from messaging.limits import Bound, TimeLimit


async def forever() -> None:
    """Wait for what never comes."""
    await Event().wait()


async def test_what_takes_too_long_is_ended() -> None:
    """The block is left with TimeoutError, and the task goes on as one that nobody cancelled."""
    bound = TimeLimit(0.01).bound()
    with pytest.raises(TimeoutError), bound:
        await forever()
    assert bound.expired
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_each_ends_at_its_own_time() -> None:
    """One that begins when another is about to end has all of its time; one that was over before disturbs nobody."""
    limit, ended = TimeLimit(0.02), list[int]()

    async def wait(number: int) -> None:
        with pytest.raises(TimeoutError), limit.bound():
            await forever()
        ended.append(number)

    with limit.bound():
        pass
    first = asyncio.create_task(wait(1))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(wait(2))
    await first
    assert ended == [1]
    await second
    with pytest.raises(TimeoutError), limit.bound():  # a timer is there again for whoever comes after all have ended
        await forever()


async def test_a_cancellation_stays_one() -> None:
    """Whoever is cancelled within its time hears of that, also if the time is over while it cleans up."""
    limit, begun, bounds = TimeLimit(0.01), Event(), list[Bound]()

    async def work(*, slowly: bool) -> None:
        with limit.bound() as bound:
            bounds.append(bound)
            begun.set()
            try:
                await forever()
            finally:
                while slowly and not bound.expired:
                    try:
                        await asyncio.sleep(0.001)
                    except asyncio.CancelledError:
                        break

    for slowly in (False, True):
        begun.clear()
        task = asyncio.create_task(work(slowly=slowly))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bounds[-1].expired == slowly


async def test_the_inner_of_two_ends_alone() -> None:
    """What the outer one bounds goes on."""
    with TimeLimit(30).bound() as outer:
        with pytest.raises(TimeoutError), TimeLimit(0.01).bound():
            await forever()
        await asyncio.sleep(0)
    assert not outer.expired


async def test_what_raises_within_its_time_raises_that() -> None:
    """Its own TimeoutError is not the limit's."""
    bound = TimeLimit(30).bound()
    with pytest.raises(TimeoutError, match="mine"), bound:
        raise TimeoutError("mine")
    assert not bound.expired


async def test_many_share_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand limits that are over in time set one timer, and are not kept until it rings."""
    loop = asyncio.get_running_loop()
    timers, call_at = 0, loop.call_at

    def counted(when: float, callback: Callable[..., Any], *given: Any, **options: Any) -> asyncio.TimerHandle:
        nonlocal timers
        timers += 1
        return call_at(when, callback, *given, **options)

    monkeypatch.setattr(loop, "call_at", counted)
    limit, kept = TimeLimit(30), WeakSet[Event]()

    def begin_and_end() -> None:
        kept.add(late := Event())
        limit.start(late.set).over()

    for _ in range(1_000):
        begin_and_end()
    gc.collect()
    assert (timers, len(kept)) == (1, 0)


def test_each_event_loop_has_its_own_timer() -> None:
    """A limit that was used in a loop that is closed works in the next one."""
    limit = TimeLimit(0.01)

    async def use() -> None:
        with limit.bound():
            pass
        with pytest.raises(TimeoutError), limit.bound():
            await forever()

    async def leave_one() -> None:
        limit.start(lambda: None)

    asyncio.run(leave_one())
    asyncio.run(use())
