"""Requests are measured by how they end."""

from typing import Any

import httpx2
from fastapi import APIRouter

from messaging.metrics import Answer
from messaging.service import Service
from order_api.app import create_api
from order_api.settings import Settings
from tests.unit.order_api.conftest import speaking_to


def answers(service: Service) -> dict[str, float | None]:
    """How many requests ended how."""
    value = service.metrics.registry.get_sample_value
    return {str(each): value("orders_request_seconds_count", {"outcome": each}) for each in Answer}


async def test_requests_are_measured_by_how_they_end(
    client: httpx2.AsyncClient, service: Service, wish: dict[str, Any]
) -> None:
    """An order placed, one refused for its body and one for its key count apart; probes and scrapers do not count."""
    assert answers(service) == {"given": 0, "refused": 0, "failed": 0}
    assert (await client.post("/orders", json=wish)).status_code == 201
    assert (await client.post("/orders", json={})).status_code == 422
    assert (await client.get("/orders", headers={"Authorization": "Bearer none"})).status_code == 401
    for path in ("/livez", "/metrics"):
        assert (await client.get(path)).status_code == 200
    assert answers(service) == {"given": 1, "refused": 2, "failed": 0}


async def test_what_nobody_caught_is_a_failure(service: Service) -> None:
    """A route that raises is answered with 500, farther out than any middleware, and counts as failed."""
    broken = APIRouter()

    @broken.get("/livez/broken")
    async def _() -> None:
        raise ZeroDivisionError

    api = create_api(service, Settings())
    api.include_router(broken)
    async with speaking_to(api, None) as client:
        assert (await client.get("/livez/broken")).status_code == 500
    assert answers(service) == {"given": 0, "refused": 0, "failed": 1}
