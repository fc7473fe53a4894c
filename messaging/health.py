"""`/livez`, `/readyz`, `/metrics`: alive without dependencies; ready when broker, consumers and database are there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import override

Check = Callable[[], Awaitable[None]]
"""Returns when all is well; raises what is wrong."""

CHECK_TIMEOUT = 3.0
"""Seconds that one check may take."""


class Health:
    """The checks of a service and the routes that answer for them."""

    def __init__(
        self, service: str, checks: Mapping[str, Check], metrics: Callable[[Request], Awaitable[Response]]
    ) -> None:
        self._service = service
        self._checks = checks
        self.routes = [Route("/livez", self._live), Route("/readyz", self._ready), Route("/metrics", metrics)]

    async def problems(self) -> dict[str, str]:
        """What is not ready, and why; empty when all is well."""
        reasons = await asyncio.gather(*(_reason(check) for check in self._checks.values()))
        return {name: reason for name, reason in zip(self._checks, reasons, strict=True) if reason}

    async def _live(self, _: Request) -> JSONResponse:
        return JSONResponse({"service": self._service, "status": "alive"})

    async def _ready(self, _: Request) -> JSONResponse:
        problems = await self.problems()
        checks = {name: problems.get(name, "ok") for name in self._checks}
        body = {"service": self._service, "status": "not ready" if problems else "ready", "checks": checks}
        return JSONResponse(body, status_code=503 if problems else 200)

    @contextlib.asynccontextmanager
    async def served(self, host: str, port: int) -> AsyncGenerator[None]:
        """Answer on that port meanwhile; port 0 serves nothing."""
        if port == 0:
            yield
            return
        routes = Starlette(routes=self.routes)
        # h11 sets bounds to what it reads, which httptools, uvicorn's own choice where it is there, does not
        config = uvicorn.Config(routes, host=host, port=port, http="h11", log_config=None, access_log=False)
        server = _EmbeddedServer(config)
        task = asyncio.create_task(server.serve(), name="health")
        try:
            yield
        finally:
            server.should_exit = True
            await task


class _EmbeddedServer(uvicorn.Server):
    """A server that leaves the process's signals to the process."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _reason(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return None
