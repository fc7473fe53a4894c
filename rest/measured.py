"""How requests end, and how long they take."""

import time
from collections.abc import Mapping

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from messaging.metrics import Answer

QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked by probes and scrapers, whose answers would hide everyone else's."""


class Measured:
    """ASGI middleware: each request's time until its answer begins, by how it ends. To be added last, around all."""

    def __init__(self, app: ASGIApp, series: Mapping[Answer, Histogram]) -> None:
        """`series` are those of `Service.metrics.requests`."""
        self.app = app
        self._series = series

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in QUIET_PATHS:
            await self.app(scope, receive, send)
            return
        started, begun = time.monotonic(), False

        async def send_measured(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._series[Answer.of(message["status"])].observe(time.monotonic() - started)
            await send(message)

        try:
            await self.app(scope, receive, send_measured)
        except Exception:
            if not begun:  # what nobody caught is answered farther out; a client that went away is nobody's failure
                self._series[Answer.FAILED].observe(time.monotonic() - started)
            raise
