"""HTTP/1.1 by httptools, which parses in C, within the bounds that h11 sets and httptools does not.

Served by `uvicorn --http rest.bounded_http:BoundedHttp`.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from rest.problems import Kind, Problem, ProblemDetails, plain, render

MOST_UNFINISHED = 65_536
"""Bytes that may come without finishing a head, a message or a piece of its body; h11 has the same number."""
MOST_PIPELINED = 100
"""Requests that may wait for the answers to those before them, which hardly any client makes them do."""

_MALFORMED = plain(HTTPStatus.BAD_REQUEST)
_TOO_LARGE = Problem(Kind.HEADERS_TOO_LARGE, f"A head may have {MOST_UNFINISHED} bytes.").details


class Malformed(Exception):  # noqa: N818 - an outcome
    """The parser takes it for HTTP, and RFC 9112 does not."""


class BoundedHttp(HttpToolsProtocol):
    """A connection. What is no HTTP ends it with 400, what has no end with 431, each as a problem.

    - Neither a head nor what comes behind a body is gathered without end, however slowly it comes.
    - A trailer is no header: it came after what looks at headers, or would pass for a part of what that looks at.
    - Each request has one Host (RFC 9112, 3.2), or none in HTTP/1.0; a body has no other coding than chunks.
    - Requests ahead of a bad one are answered; no refusal is written into an answer.
    - Whoever offers another protocol (`Upgrade`) is answered in HTTP/1.1, by h11: httptools takes a body for that
      protocol, and so would take it for a request.
    """

    parser: httptools.HttpRequestParser
    """None as soon as the connection is lost, when nothing is parsed any more."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._unfinished = 0
        self._finished = self._in_body = self._refused = False
        self._asked = b""

    @override
    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._finished = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._leave_to_h11(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse(_MALFORMED)
        else:
            self._unfinished = 0 if self._finished else self._unfinished + len(data)
            if self._unfinished > MOST_UNFINISHED:
                self._refuse(_TOO_LARGE)

    @override
    def on_message_begin(self) -> None:
        self._in_body = False
        super().on_message_begin()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:
            super().on_header(name, value.rstrip(b" \t"))

    @override
    def on_headers_complete(self) -> None:
        self._finished = self._in_body = True
        version, hosts = self.parser.get_http_version(), 0
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding" and value.lower() != b"chunked":
                raise Malformed("a coding that nobody here decodes")
        if hosts > 1 or (hosts < 1 and version != "1.0") or b"#" in self.url:
            raise Malformed("not one Host, or a fragment")
        if len(self.pipeline) >= MOST_PIPELINED:
            raise Malformed("too many requests wait")
        if self.parser.should_upgrade():
            self._asked = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version.encode())
        else:
            super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        self._finished = True
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._finished = True
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _refuse(self, problem: ProblemDetails) -> None:
        """Hear no more. Whatever was asked before is answered still; then the connection ends."""
        self._refused = True
        self.logger.warning("Invalid HTTP request received.")
        if self._answers and (not self.cycle.more_body or self.cycle.response_started or self.pipeline):
            self.cycle.keep_alive = False
        else:
            self.transport.write(_written(problem))
            self.transport.close()

    @property
    def _answers(self) -> bool:
        """Whether a request that was read has no whole answer yet."""
        return bool(self.cycle) and not self.cycle.response_complete

    def _leave_to_h11(self, rest: bytes) -> None:
        if self._answers:  # whoever pipelines offers nothing
            self._refuse(_MALFORMED)
            return
        successor = H11Protocol(self.config, self.server_state, self.app_state)
        self.connections.discard(self)
        successor.connection_made(self.transport)
        self.transport.set_protocol(successor)
        headers = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        successor.data_received(b"".join([self._asked, *headers, b"\r\n", rest]))


def _written(problem: ProblemDetails) -> bytes:
    answer = render(problem, {"Connection": "close"})
    headers = [b"%b: %b\r\n" % header for header in answer.raw_headers]
    return b"".join([STATUS_LINE[answer.status_code], *headers, b"\r\n", bytes(answer.body)])
