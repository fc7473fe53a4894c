"""The bound on request bodies."""

from collections.abc import AsyncGenerator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from order_api.request_limits import RequestLimits

LIMIT = 1_000


async def _length(request: Request) -> Response:
    try:
        return Response(str(len(await request.body())))
    except HTTPException as error:
        return Response(status_code=error.status_code)


def _client() -> httpx2.AsyncClient:
    app = RequestLimits(Starlette(routes=[Route("/", _length, methods=["POST"])]), LIMIT)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test")


@pytest.mark.parametrize(("length", "status"), [(0, 200), (LIMIT, 200), (LIMIT + 1, 413), (20_000_000, 413)])
async def test_announced(length: int, status: int) -> None:
    """A body whose length is announced is refused by that length alone."""
    async with _client() as client:
        response = await client.post("/", content=b"x" * length)
    assert response.status_code == status


@pytest.mark.parametrize(("chunks", "status"), [(LIMIT // 100, 200), (LIMIT // 100 + 1, 413)])
async def test_streamed(chunks: int, status: int) -> None:
    """A body that comes in chunks is refused at the one that crosses the limit."""
    taken = 0

    async def body() -> AsyncGenerator[bytes]:
        nonlocal taken
        for _ in range(chunks):
            taken += 100
            yield b"x" * 100

    async with _client() as client:
        response = await client.post("/", content=body())
    assert response.status_code == status
