"""What a connection takes for HTTP, over real sockets: bounds, and what else could be read in two ways."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import uvicorn
from starlette.types import Receive, Scope, Send

from rest.bounded_http import MOST_PIPELINED, MOST_UNFINISHED, BoundedHttp

HOST = b"Host: x\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
PATIENCE = 5
"""Seconds until an answer that does not come fails the test."""


class Answer(NamedTuple):
    """An answer, and what the application saw: method, path, query, headers, body."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def type(self) -> str:
        """The last part of the problem's type."""
        return self.body["type"].rpartition(":")[2]


class Connection:
    """A client's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, *parts: bytes) -> None:
        """Send these, one by one, as long as the other end listens; each is its own packet, if it is short."""
        for part in parts:
            if self._writer.is_closing():
                return
            self._writer.write(part)
            await asyncio.sleep(0)

    async def answer(self) -> Answer:
        """Read one answer."""
        async with asyncio.timeout(PATIENCE):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self._reader.readexactly(int(headers["content-length"]))
        return Answer(int(head[0].split()[1]), headers, json.loads(body))

    async def rest(self) -> bytes:
        """Read all that the other end says until it closes the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self._reader.read()
            except ConnectionResetError:  # it has not read all that was sent
                return b""

    def close(self) -> None:
        """Go."""
        self._writer.close()


class Server:
    """A server that speaks by BoundedHttp, and tells what it saw."""

    def __init__(self) -> None:
        self.port = 0
        self.heard = asyncio.Event()
        """A piece of a body has come."""
        self.connections: list[Connection] = []

    async def connect(self) -> Connection:
        """Open a connection."""
        made = Connection(*await asyncio.open_connection("127.0.0.1", self.port))
        self.connections.append(made)
        return made

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what was seen of the request."""
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
            self.heard.set()
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        seen = json.dumps([scope["method"], scope["path"], scope["query_string"].decode(), headers, len(body)]).encode()
        length = (b"content-length", str(len(seen)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": seen})


@pytest_asyncio.fixture
async def server() -> AsyncGenerator[Server]:
    """Start one."""
    made = Server()
    config = uvicorn.Config(
        made.application,
        interface="asgi3",
        http=BoundedHttp,
        lifespan="off",
        log_config=None,
        port=0,
        ws="none",
        timeout_graceful_shutdown=1,
    )
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running._serve())  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - it minds no signals
    while not running.started:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.01)
    made.port = running.servers[0].sockets[0].getsockname()[1]
    yield made
    for connection in made.connections:
        connection.close()
    running.should_exit = True
    await serving


async def test_requests_one_after_the_other(server: Server) -> None:
    """Each has its own bounds: a connection may carry any number of bytes."""
    client = await server.connect()
    note = b"X-Note: " + b"n" * 10_000 + b"\r\n"
    for number in range(20):
        await client.send(
            b"POST /%d?q HTTP/1.1\r\n" % number, HOST + note, b"Content-Length: 90000\r\n\r\n", b"b" * 90_000
        )
        answer = await client.answer()
        assert (answer.status, answer.body[1:3], answer.body[4]) == (200, [f"/{number}", "q"], 90_000)


def _pieces(text: bytes, size: int = 4_000) -> Iterable[bytes]:
    return (text[begin : begin + size] for begin in range(0, len(text), size))


ENDLESS = {
    "a header": (b"", b"GET / HTTP/1.1\r\nX-Note: ", b"n"),
    "many headers": (b"", b"GET / HTTP/1.1\r\n", b"X-Note: n\r\n"),
    "a name of a header": (b"", b"GET / HTTP/1.1\r\n", b"n"),
    "a path": (b"", b"GET /", b"p"),
    "empty lines": (b"", b"", b"\r\n"),
    "an extension of a chunk": (CHUNKED, b"2;x=", b"e"),
    "a trailer": (CHUNKED, b"0\r\nX-Note: ", b"t"),
    "many trailers": (CHUNKED, b"0\r\n", b"X-Note: n\r\n"),
}
"""What is finished, how that begins which has no end, and how it goes on."""


@pytest.mark.parametrize(("finished", "begin", "more"), ENDLESS.values(), ids=ENDLESS.keys())
async def test_what_has_no_end_is_not_gathered(server: Server, finished: bytes, begin: bytes, more: bytes) -> None:
    """It is refused as a problem at the byte that crosses the bound, and the connection is closed."""
    client = await server.connect()
    if finished:
        await client.send(finished)
        await server.heard.wait()
    endless = (begin + more * MOST_UNFINISHED)[: MOST_UNFINISHED + 1]
    await client.send(*_pieces(endless))
    answer = await client.answer()
    assert (answer.status, answer.type) == (431, "headers-too-large")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert await client.rest() == b""


async def test_a_megabyte_of_header_at_once(server: Server) -> None:
    """It is given up after what one look at the socket found, before its end is there; the server goes on."""
    client = await server.connect()
    await client.send(b"GET / HTTP/1.1\r\nX-Note: " + b"n" * 1_000_000)
    said = await client.rest()
    assert said == b"" or said.startswith(b"HTTP/1.1 431 ")
    another = await server.connect()
    await another.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (await another.answer()).status == 200


async def test_what_comes_slowly_is_put_together(server: Server) -> None:
    """Byte by byte."""
    client = await server.connect()
    text = b"POST /a%20b HTTP/1.1\r\nHost: x\r\nX-Note:  n \t\r\nContent-Length: 2\r\n\r\nhi"
    await client.send(*_pieces(text, 1))
    answer = await client.answer()
    assert answer.body == ["POST", "/a b", "", {"host": "x", "x-note": "n", "content-length": "2"}, 2]


async def test_a_trailer_is_no_header(server: Server) -> None:
    """It could not pass for a key, and the next request comes through."""
    client = await server.connect()
    await client.send(CHUNKED + b"0\r\nAuthorization: Bearer x\r\n\r\nGET /next HTTP/1.1\r\n" + HOST + b"\r\n")
    first, second = await client.answer(), await client.answer()
    assert first.body[3:] == [{"host": "x", "transfer-encoding": "chunked"}, 2]
    assert second.body[:2] == ["GET", "/next"]


MALFORMED = {
    "a length and chunks": b"Host: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": b"Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "two lengths": b"Host: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
    "a length with a sign": b"Host: x\r\nContent-Length: +2\r\n\r\nhi",
    "a length that is none": b"Host: x\r\nContent-Length: two\r\n\r\nhi",
    "a length beyond reason": b"Host: x\r\nContent-Length: 99999999999999999999\r\n\r\nhi",
    "another coding": b"Host: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks that are not last": b"Host: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "nearly chunks": b"Host: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a chunk of no length": b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nhi\r\n0\r\n\r\n",
    "a chunk beyond reason": b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhi\r\n0\r\n\r\n",
    "a chunk without its end": b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiXX0\r\n\r\n",
    "a folded header": b"Host: x\r\nX-Note: a\r\n b\r\n\r\n",
    "a NUL in a header": b"Host: x\r\nX-Note: a\x00b\r\n\r\n",
    "a CR in a header": b"Host: x\r\nX-Note: a\rb\r\n\r\n",
    "a space ahead of the colon": b"Host: x\r\nX-Note : a\r\n\r\n",
    "no colon": b"Host: x\r\nX-Note\r\n\r\n",
    "no name": b"Host: x\r\n: a\r\n\r\n",
    "no Host": b"\r\n",
    "two Hosts": b"Host: x\r\nHost: y\r\n\r\n",
}


@pytest.mark.parametrize("rest", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_could_be_read_in_two_ways_is_refused(server: Server, rest: bytes) -> None:
    """400, as a problem; the connection ends, for nobody knows where the next request begins."""
    client = await server.connect()
    await client.send(b"POST / HTTP/1.1\r\n" + rest)
    answer = await client.answer()
    assert (answer.status, answer.body) == (400, {"type": "about:blank", "title": "Bad Request", "status": 400})
    assert await client.rest() == b""


@pytest.mark.parametrize("line", [b"GET /a#b HTTP/1.1", b"GET / HTTP/1.2", b"GET /\xe9 HTTP/1.1", b"\x16\x03\x01\x02"])
async def test_lines_that_ask_for_nothing(server: Server, line: bytes) -> None:
    """A fragment, another version, bytes that no address has, TLS."""
    client = await server.connect()
    await client.send(line + b"\r\n" + HOST + b"\r\n")
    assert (await client.answer()).status == 400
    assert await client.rest() == b""


async def test_old_http_needs_no_host(server: Server) -> None:
    """HTTP/1.0 knew none; its connection ends with the answer."""
    client = await server.connect()
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert (await client.answer()).status == 200
    assert await client.rest() == b""


async def test_requests_ahead_of_a_bad_one_are_answered(server: Server) -> None:
    """In their order; no refusal is written between them."""
    client = await server.connect()
    good = b"".join(b"GET /%d HTTP/1.1\r\n" % number + HOST + b"\r\n" for number in range(3))
    await client.send(good + b"no HTTP\r\n\r\n")
    assert [(await client.answer()).body[1] for _ in range(3)] == ["/0", "/1", "/2"]
    assert await client.rest() == b""


async def test_few_requests_can_wait(server: Server) -> None:
    """As many as may are answered, and those that are one too many are not."""
    client = await server.connect()
    one = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    await client.send(one * 3 * MOST_PIPELINED)
    for _ in range(MOST_PIPELINED + 1):
        assert (await client.answer()).status == 200
    assert await client.rest() == b""


@pytest.mark.parametrize("offered", [b"h2c", b"websocket"])
async def test_whoever_offers_another_protocol_is_answered_in_this_one(server: Server, offered: bytes) -> None:
    """Its body is a body, whether or not it looks like a request; the connection goes on."""
    client = await server.connect()
    body = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
    offer = b"Connection: Upgrade\r\nUpgrade: " + offered + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
    await client.send(b"POST /1 HTTP/1.1\r\n" + HOST + offer, body)
    assert (await client.answer()).body[1::3] == ["/1", len(body)]
    await client.send(b"GET /2 HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (await client.answer()).body[1] == "/2"
