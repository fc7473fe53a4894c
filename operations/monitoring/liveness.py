"""The services as a source: alive, ready, since when, and how often they were started again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from time import time as now

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from operations.monitoring import metrics
from operations.monitoring.metrics import Sample, sample
from operations.monitoring.objectives import WINDOW

PROBE_TIMEOUT = 4.0
"""Seconds for one question; a ready check may take 3."""
STARTED = ("orders_start_time_seconds", "process_start_time_seconds")
"""Gauges of a service that say when its process began, in Unix time."""


class Liveness:
    """Asks each service's `/livez`, `/readyz` and `/metrics`. Behind a balancer one replica answers for all."""

    name = "services"

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._started: dict[str, float] = {}
        self._restarts: dict[str, deque[float]] = {service: deque() for service in addresses}

    async def read(self) -> Sequence[Sample]:
        """Ask all of them. A service that does not answer is down; that is a sample, no failure."""
        async with httpx2.AsyncClient(timeout=PROBE_TIMEOUT) as http:
            told = await asyncio.gather(*(self._probe(http, each) for each in self._addresses))
        return [each for samples in told for each in samples]

    async def _probe(self, http: httpx2.AsyncClient, service: str) -> Sequence[Sample]:
        alive, ready, numbers = await asyncio.gather(
            *(_get(http, f"{self._addresses[service].rstrip('/')}/{path}") for path in ("livez", "readyz", "metrics"))
        )
        samples = [
            sample(metrics.SERVICE_UP, alive is not None, service),
            sample(metrics.SERVICE_READY, ready is not None, service),
        ]
        if started := _started(numbers or ""):
            self._note_start(service, started)
            samples.append(sample(metrics.SERVICE_UPTIME, max(now() - started, 0.0), service))
        return [*samples, sample(metrics.SERVICE_RESTARTS, self._recent(service), service)]

    def _note_start(self, service: str, started: float) -> None:
        if self._started.get(service, started) != started:
            self._restarts[service].append(started)
        self._started[service] = started

    def _recent(self, service: str) -> int:
        restarts = self._restarts[service]
        while restarts and restarts[0] < now() - WINDOW:
            restarts.popleft()
        return len(restarts)


async def _get(http: httpx2.AsyncClient, address: str) -> str | None:
    """The body of a good answer; None for any other, and for none."""
    try:
        answer = await http.get(address)
    except httpx2.HTTPError:
        return None
    return answer.text if answer.is_success else None


def _started(exposition: str) -> float | None:
    return max(_starts(exposition), default=None)


def _starts(exposition: str) -> Iterator[float]:
    for family in text_string_to_metric_families(exposition):
        if family.name in STARTED:
            yield from (each.value for each in family.samples)
