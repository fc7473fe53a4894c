"""Services that answer, that do not, and that were started again."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from devstack.ports import any_free_port
from messaging.health import Health
from operations.monitoring import liveness as liveness_module
from operations.monitoring import metrics
from operations.monitoring.liveness import Liveness
from operations.monitoring.metrics import Metric, Sample


@dataclass
class Fake:
    """A service as its HTTP port shows it."""

    started: float = 1_700_000_000.0
    problem: Exception | None = None
    port: int = field(default_factory=any_free_port)

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    async def check(self) -> None:
        """Whether it can work."""
        if self.problem:
            raise self.problem

    async def page(self, _: Request) -> Response:
        """Its own numbers."""
        return PlainTextResponse(f"# TYPE orders_start_time_seconds gauge\norders_start_time_seconds {self.started}\n")


@asynccontextmanager
async def running(fake: Fake) -> AsyncGenerator[None]:
    """It, answering."""
    async with Health("payment", {"database": fake.check}, fake.page).served("127.0.0.1", fake.port):
        yield


def told(samples: Sequence[Sample], metric: Metric) -> float:
    """What was seen of payment."""
    [found] = [each for each in samples if each.metric == metric and each.of == "payment"]
    return found.value


async def until_up(liveness: Liveness) -> Sequence[Sample]:
    """Look until it answers: the port opens a moment after the service is started."""
    while True:
        samples = await liveness.read()
        if told(samples, metrics.SERVICE_UP):
            return samples


async def test_a_service_that_works_is_up_and_ready() -> None:
    """Its heartbeat, and since when its process runs."""
    fake = Fake()
    async with running(fake):
        samples = await until_up(Liveness({"payment": fake.address}))
    assert told(samples, metrics.SERVICE_READY) == 1
    assert told(samples, metrics.SERVICE_RESTARTS) == 0
    assert told(samples, metrics.SERVICE_UPTIME) > 0


async def test_a_service_without_its_database_is_up_and_not_ready() -> None:
    """Alive is one thing, able to work another."""
    fake = Fake(problem=ConnectionRefusedError())
    async with running(fake):
        samples = await until_up(Liveness({"payment": fake.address}))
    assert told(samples, metrics.SERVICE_READY) == 0


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://nowhere.invalid"])
async def test_a_service_that_does_not_answer_is_down(address: str) -> None:
    """That is a number, and no failure of monitoring."""
    samples = await Liveness({"payment": address}).read()
    assert told(samples, metrics.SERVICE_UP) == 0
    assert told(samples, metrics.SERVICE_READY) == 0


async def test_restarts_are_counted_for_a_quarter_of_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new start time is one; a process that was first seen is none; old ones are forgotten."""
    fake = Fake()
    liveness = Liveness({"payment": fake.address})
    async with running(fake):
        await until_up(liveness)
        counted: list[float] = []
        for at in (10.0, 20.0, 20.0, 2_000.0):
            fake.started = 1_700_000_000.0 + at
            monkeypatch.setattr(liveness_module, "now", lambda: fake.started + 1)
            counted.append(told(await liveness.read(), metrics.SERVICE_RESTARTS))
    assert counted == [1, 2, 2, 1]
