"""The bounds on requests."""

import asyncio
from collections.abc import AsyncGenerator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from rest.request_limits import RequestLimits

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


async def test_headers_that_are_too_large() -> None:
    """All names and values together have a bound."""
    async with _client() as client:
        assert (await client.post("/", headers={"x-note": "n" * 15_000})).status_code == 200
        refused = await client.post("/", headers={f"x-{number}": "n" * 2_000 for number in range(9)})
    assert refused.status_code == 431
    assert refused.headers["content-type"] == "application/problem+json"


async def test_a_body_that_drips_is_given_up() -> None:
    """Patience is for the whole body, not for each chunk; what comes after it, the client's going, has all time."""
    app = RequestLimits(Starlette(routes=[Route("/", _length, methods=["POST"])]), LIMIT, patience=0.05)
    sent: list[Message] = []

    async def drip() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b"", "root_path": ""}
    await app(scope, drip, send)
    assert sent[0]["status"] == 408


async def test_the_clients_going_is_waited_for_without_end() -> None:
    """A stream listens for it long after the body was read."""
    heard: list[str] = []

    async def listen(_: Scope, receive: Receive, __: Send) -> None:
        heard.append((await receive())["type"])
        heard.append((await receive())["type"])

    messages = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        if len(messages) == 1:
            await asyncio.sleep(0.1)
        return messages.pop(0)

    async def send(_: Message) -> None: ...

    await RequestLimits(listen, LIMIT, patience=0.05)({"type": "http", "headers": []}, receive, send)
    assert heard == ["http.request", "http.disconnect"]
