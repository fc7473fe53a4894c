"""Background tasks, and the lane that lets a suspect run alone."""

import asyncio

import pytest
from structlog.testing import capture_logs

from messaging import supervisor
from messaging.lane import Lane
from messaging.supervisor import Supervisor


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.0)


@pytest.mark.parametrize("end", [RuntimeError("broken"), asyncio.CancelledError(), None], ids=repr)
async def test_a_task_that_ends_is_started_again(end: BaseException | None) -> None:
    """A task that fails, returns, or loses its connection runs again, and the log says why."""
    runs = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            enough.set()
            await asyncio.Event().wait()
        if end is not None:
            raise end

    tasks = Supervisor()
    with capture_logs() as logs:
        tasks.start("work", work)
        await asyncio.wait_for(enough.wait(), 5)
        await tasks.stop()
    assert [entry["event"] for entry in logs] == ["background task restarts"] * 2


async def test_a_stop_ends_all_tasks() -> None:
    """After a stop nothing is started again."""
    started = asyncio.Event()
    ended: list[str] = []

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    tasks = Supervisor()
    tasks.start("work", work)
    await started.wait()
    await tasks.stop()
    assert ended == ["work"]


@pytest.mark.parametrize("instead", [RuntimeError("its connection is gone"), None], ids=repr)
async def test_a_stop_ends_what_fails_instead_of_being_cancelled(instead: Exception | None) -> None:
    """A task whose cancellation became another error, or nothing, is not started again."""
    started = asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if instead is not None:
                raise instead from None

    tasks = Supervisor()
    tasks.start("work", work)
    await started.wait()
    await asyncio.wait_for(tasks.stop(), 5)


async def test_a_suspect_runs_alone() -> None:
    """It waits for those in progress, and those who come later wait for it."""
    lane, order = Lane(), list[str]()
    first_may_end, suspect_may_end = asyncio.Event(), asyncio.Event()

    async def ordinary(name: str, may_end: asyncio.Event) -> None:
        async with lane.shared():
            order.append(f"{name} begins")
            await may_end.wait()
            order.append(f"{name} ends")

    async def suspect() -> None:
        async with lane.alone():
            order.append("suspect begins")
            await suspect_may_end.wait()
            order.append("suspect ends")

    anytime = asyncio.Event()
    anytime.set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ordinary("first", first_may_end))
        await asyncio.sleep(0)
        tasks.create_task(suspect())
        await asyncio.sleep(0)
        tasks.create_task(ordinary("later", anytime))
        for event in (first_may_end, suspect_may_end):
            await asyncio.sleep(0)
            event.set()
    assert order == ["first begins", "first ends", "suspect begins", "suspect ends", "later begins", "later ends"]
