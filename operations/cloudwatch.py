"""CloudWatch: snapshots go there in batches, and nothing here waits for it.

Credentials come from the standard chain. While AWS is out of reach the newest samples are kept, the oldest dropped and
counted; attempts are spread by full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, cast
from urllib.parse import urlencode

import aioboto3  # pyright: ignore[reportMissingTypeStubs]
import structlog
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    BotoCoreError,
    ClientError,
    ParamValidationError,
)
from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from messaging.disclosure import in_a_line
from operations.monitoring.collector import Snapshot
from operations.monitoring.metrics import METRICS_DROPPED, Sample, sample

log = structlog.get_logger(__name__)

MOST_METRICS = 1_000
MOST_BYTES = 1_000_000
MOST_VALUES = 150
"""What PutMetricData takes: data in a call, bytes of its body, values of a datum."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds between two attempts at most: doubling from the first to the longest."""
_WORTH_ANOTHER = {401, 403, 408, 429}
"""Statuses below 500 that pass: credentials are renewed, throttling ends. CloudWatch throttles by 400, too."""

Datum = Mapping[str, Any]
"""One of PutMetricData's MetricData."""


class CloudWatchSettings(BaseSettings):
    """Variables that begin with OPERATIONS_CLOUDWATCH_. Durations are seconds. AWS's own variables are AWS's."""

    model_config = SettingsConfigDict(env_prefix="OPERATIONS_CLOUDWATCH_", populate_by_name=True)

    enabled: bool = False
    """Whether metrics are sent at all."""
    namespace: str = Field(default="Orders", min_length=1, max_length=255)
    region: str | None = Field(
        default=None, validation_alias=AliasChoices("OPERATIONS_CLOUDWATCH_REGION", "AWS_REGION")
    )
    """AWS_REGION is what containers of AWS are told, and Python's AWS library does not read. None leaves it to the
    standard chain: AWS_DEFAULT_REGION, or the profile."""
    endpoint_url: str | None = None
    """Another address than AWS's own: a VPC endpoint, or a fake in tests."""
    timeout: float = Field(default=5.0, gt=0)
    """How long connecting, and each answer, may take."""
    buffer: int = Field(default=30_000, ge=1)
    """Data that are kept while AWS is out of reach: about 20 minutes of the whole system."""


class OverTheLimitError(ValueError):
    """A request that CloudWatch would refuse. Nothing was sent."""


class CloudWatch:
    """A sink for snapshots that sends them when it can."""

    def __init__(self, settings: CloudWatchSettings, pause: Callable[[int], float] | None = None) -> None:
        self._settings = settings
        self._pause = pause or full_jitter
        self._waiting: deque[Datum] = deque()
        self._batch: Sequence[Datum] = ()
        self._any = asyncio.Event()
        self.dropped = 0
        """Data that CloudWatch never got: too old, or refused."""

    @property
    def waiting(self) -> int:
        """Data that are still to be sent; never more than the buffer holds and one batch."""
        return len(self._waiting) + len(self._batch)

    def take(self, snapshot: Snapshot) -> None:
        """Keep a snapshot to be sent, and with it how many data were dropped so far."""
        for each in (*snapshot.samples, sample(METRICS_DROPPED, self.dropped)):
            self._waiting.extend(data_of(each, snapshot.taken_at))
        while len(self._waiting) > self._settings.buffer:
            self._waiting.popleft()
            self.dropped += 1
        self._any.set()

    async def watch(self) -> None:
        """Send for ever. Failures are waited out, so that this ends only with its task."""
        options = Config(
            connect_timeout=self._settings.timeout,
            read_timeout=self._settings.timeout,
            retries={"total_max_attempts": 1},  # pausing is done here, and once
        )
        session = cast("Any", aioboto3).Session(region_name=self._settings.region)
        async with session.client("cloudwatch", endpoint_url=self._settings.endpoint_url, config=options) as client:
            client.meta.events.register("before-call.cloudwatch.PutMetricData", assert_within_limits)
            attempt = 0
            while True:
                await self._any.wait()
                if await self._send(client):
                    attempt = 0
                else:
                    attempt += 1
                    await asyncio.sleep(self._pause(attempt))

    async def _send(self, client: Any) -> bool:
        """Send one batch; tells whether it is dealt with."""
        self._batch = self._batch or self.next_batch()
        try:
            await client.put_metric_data(Namespace=self._settings.namespace, MetricData=self._batch)
        except (BotoCoreError, ClientError, OverTheLimitError, OSError) as error:  # TimeoutError is an OSError
            final = _is_final(error)
            said = "CloudWatch refuses metrics" if final else "CloudWatch does not take metrics"
            log.warning(said, error=in_a_line(error), waiting=self.waiting, dropped=self.dropped)
            if not final:
                return False
            self.dropped += len(self._batch)
        self._batch = ()
        if not self._waiting:
            self._any.clear()
        return True

    def next_batch(self) -> Sequence[Datum]:
        """Take the oldest data that one call can carry."""
        batch: list[Datum] = []
        size = len(urlencode({"Action": "PutMetricData", "Version": "2010-08-01", "Namespace": "x" * 255}))
        while self._waiting and len(batch) < MOST_METRICS:
            size += size_of(self._waiting[0])
            if size > MOST_BYTES:
                break
            batch.append(self._waiting.popleft())
        return batch


def data_of(seen: Sample, at: datetime) -> Iterator[Datum]:
    """The sample as PutMetricData takes it. CloudWatch can tell percentiles of values with their counts."""
    datum: dict[str, Any] = {"MetricName": seen.metric.name, "Timestamp": at, "Unit": seen.metric.unit.value}
    if seen.metric.dimension is not None:
        datum["Dimensions"] = [{"Name": seen.metric.dimension, "Value": seen.of}]
    if not seen.metric.distribution:
        yield {**datum, "Value": seen.value}
        return
    values = iter(sorted(seen.observed.items()))
    while part := list(islice(values, MOST_VALUES)):
        yield {**datum, "Values": [value for value, _ in part], "Counts": [float(count) for _, count in part]}


def size_of(datum: Datum) -> int:
    """Bytes that a datum takes in the body of a call, at most."""
    return 1 + len(urlencode(list(_flat(f"MetricData.member.{MOST_METRICS}", datum))))


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A structure as AWS's query protocol writes it, the longest of its protocols."""
    match value:
        case Mapping():
            for key, part in cast("Mapping[str, Any]", value).items():
                yield from _flat(f"{name}.{key}", part)
        case list():
            for number, part in enumerate(cast("list[Any]", value), start=1):
                yield from _flat(f"{name}.member.{number}", part)
        case _:
            yield name, str(value)


def assert_within_limits(params: Mapping[str, Any], **_: Any) -> None:
    """Look at a whole request before it is sent. Raises OverTheLimitError for one that CloudWatch would refuse."""
    body: Mapping[str, Any] = params["body"]
    size = len(urlencode(body, doseq=True))
    if size > MOST_BYTES:
        raise OverTheLimitError(f"a body of {size} bytes")
    count = sum(key.endswith(".MetricName") for key in body)
    if count > MOST_METRICS:
        raise OverTheLimitError(f"{count} metrics in one call")


def full_jitter(attempt: int) -> float:
    """Seconds until the next attempt: anything up to a bound that doubles, so that many clients do not come at once."""
    return random.uniform(0.0, min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 10)))  # noqa: S311 - no secret


def _is_final(error: Exception) -> bool:
    """Whether the same batch would be refused again."""
    if not isinstance(error, ClientError):
        return isinstance(error, ParamValidationError | OverTheLimitError)
    told = cast("Mapping[str, Any]", error.response)  # pyright: ignore[reportUnknownMemberType]
    status = int(told.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    throttled = "Throttl" in str(told.get("Error", {}).get("Code", ""))
    return status < 500 and status not in _WORTH_ANOTHER and not throttled  # noqa: PLR2004 - HTTP
