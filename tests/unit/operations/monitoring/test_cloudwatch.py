"""CloudWatch: what is sent is read back over HTTP, within its limits; when AWS is away nothing else notices."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import aioboto3  # pyright: ignore[reportMissingTypeStubs]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer  # pyright: ignore[reportMissingTypeStubs]
from structlog.testing import capture_logs

from operations import cloudwatch
from operations.cloudwatch import (
    MOST_BYTES,
    MOST_METRICS,
    MOST_VALUES,
    CloudWatch,
    CloudWatchSettings,
    OverTheLimitError,
    assert_within_limits,
    data_of,
    full_jitter,
    size_of,
)
from operations.monitoring import metrics
from operations.monitoring.collector import Snapshot
from operations.monitoring.metrics import Sample, sample
from tests.broker.proxy import proxy_for
from tests.broker.rabbit import until

NOW = datetime.now(UTC)
READY = [sample(metrics.QUEUE_READY, 3, "payment.order.created"), sample(metrics.HEARTBEAT, 1)]


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """The address of a CloudWatch that is none of Amazon's."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials come by the standard chain, whose first link is the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


def settings_for(address: str, namespace: str, **others: Any) -> CloudWatchSettings:
    """Settings of a test's own namespace. The fake needs seconds for a full call."""
    given: dict[str, Any] = {"endpoint_url": address, "namespace": namespace, "timeout": 20.0, **others}
    return CloudWatchSettings(**given)


@asynccontextmanager
async def sending(sink: CloudWatch) -> AsyncGenerator[CloudWatch]:
    """The sink at work."""
    task = asyncio.create_task(sink.watch())
    yield sink
    assert not task.done(), task.exception()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def sent(sink: CloudWatch) -> None:
    """Wait until nothing is left to send."""

    async def nothing() -> bool:
        return sink.waiting == 0

    await until(nothing)


@asynccontextmanager
async def client_of(address: str) -> AsyncGenerator[Any]:
    """A client of that CloudWatch."""
    async with cast("Any", aioboto3).Session().client("cloudwatch", endpoint_url=address) as client:
        yield client


async def read_back(address: str, namespace: str, name: str, **dimensions: str) -> list[Mapping[str, Any]]:
    """The data points of a metric, oldest first."""
    async with client_of(address) as client:
        told = await client.get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=NOW - timedelta(hours=2),
            EndTime=NOW + timedelta(hours=2),
            Period=60,
            Statistics=["SampleCount", "Sum", "Minimum", "Maximum"],
        )
    return sorted(told["Datapoints"], key=lambda point: point["Timestamp"])


async def metrics_in(address: str, namespace: str) -> int:
    """How many metrics a namespace has."""
    async with client_of(address) as client:
        pages = client.get_paginator("list_metrics").paginate(Namespace=namespace)
        return sum([len(page["Metrics"]) async for page in pages])


def test_it_is_off_unless_it_is_asked_for() -> None:
    """Nobody's metrics go to AWS by accident."""
    assert CloudWatchSettings().enabled is False


def test_the_region_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own variable first, then the one that AWS gives its containers; else it is left to the standard chain."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert CloudWatchSettings().region == "eu-west-1"
    monkeypatch.setenv("OPERATIONS_CLOUDWATCH_REGION", "us-east-1")
    assert CloudWatchSettings().region == "us-east-1"
    monkeypatch.delenv("OPERATIONS_CLOUDWATCH_REGION")
    monkeypatch.delenv("AWS_REGION")
    assert CloudWatchSettings().region is None


async def test_what_was_seen_is_read_back(aws: str) -> None:
    """Name, dimension, unit and value arrive as they were; a distribution with every one of its observations."""
    latency = Sample(metrics.STEP_LATENCY, {0.1: 90, 0.5: 9, 6.2: 1}, "payment.authorized")
    async with sending(CloudWatch(settings_for(aws, "ReadBack"))) as sink:
        sink.take(Snapshot(NOW, (*READY, latency)))
        await sent(sink)
    [ready] = await read_back(aws, "ReadBack", "QueueReady", Queue="payment.order.created")
    assert (ready["Sum"], ready["SampleCount"], ready["Unit"]) == (3.0, 1.0, "Count")
    [step] = await read_back(aws, "ReadBack", "StepLatency", Step="payment.authorized")
    assert (step["SampleCount"], step["Minimum"], step["Maximum"], step["Unit"]) == (100.0, 0.1, 6.2, "Seconds")
    assert step["Sum"] == pytest.approx(90 * 0.1 + 9 * 0.5 + 6.2)
    assert len(await read_back(aws, "ReadBack", "MetricsDropped")) == 1


async def test_more_than_a_call_can_carry_goes_in_several(aws: str) -> None:
    """1,200 metrics arrive, none is refused."""
    many = tuple(sample(metrics.QUEUE_READY, number, f"queue-{number}") for number in range(1_200))
    async with sending(CloudWatch(settings_for(aws, "Many"))) as sink:
        sink.take(Snapshot(NOW, many))
        await sent(sink)
    assert sink.dropped == 0
    assert await metrics_in(aws, "Many") == 1_201


observations = st.dictionaries(st.floats(0.001, 1e6, allow_nan=False), st.integers(1, 10**6), min_size=1, max_size=400)


@settings(max_examples=20, deadline=None)
@given(st.lists(observations, min_size=1, max_size=20), st.integers(1, 150))
def test_no_batch_is_beyond_the_limits(distributions: list[dict[float, int]], copies: int) -> None:
    """However large the distributions: each batch has at most so many data and bytes, each datum so many values."""
    samples = tuple(
        Sample(metrics.STEP_LATENCY, observed, f"step-{number}-{'x' * 200}")
        for number, observed in enumerate(distributions * copies)
    )
    sink = CloudWatch(CloudWatchSettings(buffer=10**6))
    sink.take(Snapshot(NOW, samples))
    before, seen = sink.waiting, 0
    while batch := sink.next_batch():
        seen += len(batch)
        assert len(batch) <= MOST_METRICS
        assert sum(map(size_of, batch)) <= MOST_BYTES
        assert max(len(datum.get("Values", ())) for datum in batch) <= MOST_VALUES
    assert seen == before
    assert sum(sum(datum["Counts"]) for each in samples[: len(distributions)] for datum in data_of(each, NOW)) == sum(
        sum(observed.values()) for observed in distributions
    )


@pytest.mark.parametrize(
    "body",
    [
        {f"MetricData.member.{number}.MetricName": "A" for number in range(MOST_METRICS + 1)},
        {"MetricData.member.1.MetricName": "A" * MOST_BYTES},
    ],
    ids=["too many", "too large"],
)
def test_a_call_beyond_the_limits_is_stopped_before_it_is_sent(body: dict[str, str]) -> None:
    """Our own assertion looks at the whole request, whatever made it."""
    with pytest.raises(OverTheLimitError):
        assert_within_limits({"body": body})


def _no_size(_: Mapping[str, Any]) -> int:
    return 0


async def test_a_batch_beyond_the_limits_is_given_up(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If batching were wrong, the assertion stops the call; the batch is dropped and counted, the next one is sent."""
    sink = CloudWatch(settings_for(aws, "Wrong"))
    sink.take(Snapshot(NOW, tuple(READY * 2)))
    monkeypatch.setattr(cloudwatch, "size_of", _no_size)
    monkeypatch.setattr(cloudwatch, "MOST_BYTES", 600)
    with capture_logs() as logs:
        async with sending(sink):
            await sent(sink)
            sink.take(Snapshot(NOW, ()))
            await sent(sink)
    assert sink.dropped == 5
    assert [entry["event"] for entry in logs] == ["CloudWatch refuses metrics"]
    [dropped] = await read_back(aws, "Wrong", "MetricsDropped")
    assert dropped["Sum"] == 5.0


async def test_what_is_refused_for_good_is_given_up(aws: str) -> None:
    """A datum that CloudWatch never takes is dropped and counted; it does not stand in the way of the next."""
    sink = CloudWatch(settings_for(aws, "Refused"))
    wrong = sample(metrics.QUEUE_READY, 1, "")  # a dimension without a value
    async with sending(sink):
        sink.take(Snapshot(NOW, (wrong,)))
        await sent(sink)
        sink.take(Snapshot(NOW, tuple(READY)))
        await sent(sink)
    assert sink.dropped == 2  # with the number of those dropped so far, which shared its call
    assert await metrics_in(aws, "Refused") == 3


async def test_a_silent_aws_is_waited_out(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A black hole: nothing is lost but what the buffer cannot hold, and when AWS is back the newest samples arrive."""
    monkeypatch.setattr(cloudwatch, "MOST_METRICS", 50)
    pauses: list[int] = []

    def pause(attempt: int) -> float:
        pauses.append(attempt)
        return 0.01

    async with proxy_for(aws) as proxy:
        proxy.hush()
        address = proxy.url(aws)
        async with sending(CloudWatch(settings_for(address, "Silent", buffer=200, timeout=0.5), pause)) as sink:
            for minute in range(30):
                samples = (sample(metrics.QUEUE_READY, minute, f"queue-{number}") for number in range(20))
                sink.take(Snapshot(NOW + timedelta(minutes=minute - 30), tuple(samples)))

            async def tried_twice() -> bool:
                return len(pauses) >= 2

            await until(tried_twice)
            assert sink.waiting <= 250
            assert sink.dropped == 30 * 21 - sink.waiting
            proxy.speak()
            await sent(sink)
    assert pauses == list(range(1, len(pauses) + 1))
    points = await read_back(aws, "Silent", "QueueReady", Queue="queue-19")
    assert points[-1]["Maximum"] == 29.0


async def test_a_closed_port_is_waited_out_too() -> None:
    """Nobody listens: attempts go on, pauses grow, the task lives."""
    attempts = asyncio.Event()

    def pause(attempt: int) -> float:
        if attempt == 3:
            attempts.set()
        return 0.0

    async with sending(CloudWatch(settings_for("http://127.0.0.1:9", "Closed"), pause)) as sink:
        sink.take(Snapshot(NOW, tuple(READY)))
        await asyncio.wait_for(attempts.wait(), 20)
        assert sink.waiting == 3


def test_pauses_grow_to_a_bound_and_are_spread() -> None:
    """Full jitter: anything between nothing and a bound that doubles up to a minute."""
    for attempt in range(1, 50):
        bound = min(cloudwatch.LONGEST_PAUSE, cloudwatch.FIRST_PAUSE * 2.0**attempt)
        drawn = [full_jitter(attempt) for _ in range(200)]
        assert 0 <= min(drawn) < bound / 4
        assert bound * 3 / 4 < max(drawn) <= bound
