"""A snapshot is taken again and again, whatever becomes of its sources."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from operations.monitoring import collector, metrics
from operations.monitoring.collector import Collector, Snapshot
from operations.monitoring.metrics import HEARTBEAT, SOURCE_UNREADABLE, Sample, sample

DRIFT = sample(metrics.TOPOLOGY_DRIFT, 2)


@dataclass
class Scripted:
    """A source that does as the test says."""

    name: str
    answer: Callable[[], Awaitable[Sequence[Sample]]]

    async def read(self) -> Sequence[Sample]:
        """Do it."""
        return await self.answer()


async def well() -> Sequence[Sample]:
    """Answer."""
    return [DRIFT]


async def broken() -> Sequence[Sample]:
    """Fail as a bug would."""
    raise KeyError("planted")


async def silent() -> Sequence[Sample]:
    """Never answer."""
    await asyncio.Event().wait()
    return []


@pytest.mark.parametrize("failure", [broken, silent])
async def test_a_source_that_fails_costs_its_own_numbers_alone(
    failure: Callable[[], Awaitable[Sequence[Sample]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are in the snapshot, and so is the news that one is missing."""
    monkeypatch.setattr(collector, "SOURCE_TIMEOUT", 0.05)
    snapshot = await Collector([Scripted("bad", failure), Scripted("good", well)], 1.0).look()
    assert set(map(as_row, snapshot.samples)) == {
        ("SourceUnreadable", "bad", 1.0),
        ("TopologyDrift", None, 2.0),
        ("SourceUnreadable", "good", 0.0),
        ("Heartbeat", None, 1.0),
    }


def as_row(each: Sample) -> tuple[str, str | None, float]:
    """What a sample says."""
    return each.metric.name, each.of, each.value


async def test_a_failure_is_logged_once_and_again_after_it_was_over() -> None:
    """One line for an outage, however many snapshots it lasts."""
    answers = [broken, broken, well, broken]

    async def next_answer() -> Sequence[Sample]:
        return await answers.pop(0)()

    watched = Collector([Scripted("bad", next_answer)], 1.0)
    with capture_logs() as logs:
        for _ in range(4):
            await watched.look()
    assert [entry["source"] for entry in logs] == ["bad", "bad"]


async def test_it_goes_on_for_ever_and_tells_every_sink() -> None:
    """Snapshot after snapshot, each handed to all sinks."""
    seen: list[Snapshot] = []
    third = asyncio.Event()

    def sink(snapshot: Snapshot) -> None:
        seen.append(snapshot)
        if len(seen) == 6:
            third.set()

    task = asyncio.create_task(Collector([Scripted("good", well)], 0.0, [sink, sink]).watch())
    await asyncio.wait_for(third.wait(), 5)
    task.cancel()
    assert seen[0] is seen[1]
    assert seen[0].taken_at < seen[2].taken_at
    assert all(sample(HEARTBEAT, 1) in each.samples for each in seen)
    assert all(sample(SOURCE_UNREADABLE, 0, "good") in each.samples for each in seen)
