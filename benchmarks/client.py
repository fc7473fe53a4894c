"""A load generator that costs little, as it shares the machine with what it measures: HTTP/1.1 on bare sockets.

A *closed* loop's connections each send the next request when the last one was answered: it finds the capacity. An
*open* loop sends at moments that were fixed beforehand, and its latencies count from those moments, so that a server
that stalls is charged for all that should have happened meanwhile (no coordinated omission).
"""

import asyncio
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import cast
from urllib.parse import urlsplit

import orjson
from typing_extensions import override

from benchmarks.products import baskets, wish
from devstack.errors import StackError

CREATED = b"201"
MOST_CONNECTIONS = 256
"""Of an open loop. What finds none free waits for one, and its latency with it."""
MOST_IDLE = 4.0
"""Seconds after which a connection is not used again: uvicorn ends it after 5, and what meets that is lost."""


@dataclass(frozen=True)
class Sent:
    """An order that was accepted."""

    order_id: str
    at: float
    """When it was sent, or should have been: seconds since the epoch."""
    answered: float
    """Seconds until the answer."""


@dataclass(frozen=True)
class Placed:
    """What a loop did."""

    orders: Sequence[Sent]
    seconds: float
    refused: Mapping[str, int]
    """Answers that were no 201, by status."""

    @property
    def accepted_rate(self) -> float:
        """Orders a second."""
        return len(self.orders) / self.seconds


class Api:
    """Where orders are placed."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        lines = [f"Host: {parts.netloc}", "Content-Type: application/json", *(f"{k}: {v}" for k, v in headers.items())]
        self._head = ("POST /orders HTTP/1.1\r\n" + "".join(f"{line}\r\n" for line in lines)).encode()

    def request(self, body: bytes) -> bytes:
        """Return a whole request that places the order in `body`."""
        return b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body)

    async def closed_loop(self, *, connections: int, seconds: float, lines: int = 1) -> Placed:
        """Place orders over so many connections for so long."""
        bodies, until = self._bodies(lines), time.monotonic() + seconds
        return await self._closed(bodies, connections, lambda: time.monotonic() < until)

    async def place(
        self, orders: int, *, connections: int, lines: int = 1, tell: Callable[[int], None] = lambda _: None
    ) -> Placed:
        """Place so many orders, as fast as they are accepted; `tell` hears of each."""
        left = iter(range(orders))
        return await self._closed(self._bodies(lines), connections, lambda: next(left, None) is not None, tell)

    async def open_loop(self, moments: Sequence[float], *, lines: int = 1) -> Placed:
        """Place an order at each of these moments, seconds from now."""
        tally = _Tally()
        free: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()
        bodies, opened, running = self._bodies(lines), 0, set[asyncio.Task[None]]()
        connections: list[_Connection] = []

        async def one(due: float, request: bytes) -> None:
            nonlocal opened
            if free.empty() and opened < MOST_CONNECTIONS:
                opened += 1
                connection = await self._connect()
                connections.append(connection)
            else:
                connection = await free.get()
                if not connection.is_fit:
                    connection.close()
                    connection = await self._connect()
                    connections.append(connection)
            try:
                tally.add(*await connection.ask(request), due)
            finally:
                free.put_nowait(connection)

        begun, wall = time.perf_counter(), time.time()
        with _closing(connections):
            for moment in moments:
                if (wait := begun + moment - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                task = asyncio.create_task(one(wall + moment, next(bodies)))
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.gather(*running)
        return tally.placed(time.perf_counter() - begun)

    async def _closed(
        self,
        bodies: Iterator[bytes],
        connections: int,
        more: Callable[[], bool],
        tell: Callable[[int], None] = lambda _: None,
    ) -> Placed:
        tally = _Tally(tell)
        opened = [await self._connect() for _ in range(connections)]

        async def customer(connection: _Connection) -> None:
            while more():
                due = time.time()
                tally.add(*await connection.ask(next(bodies)), due)

        begun = time.perf_counter()
        with _closing(opened):
            await asyncio.gather(*map(customer, opened))
        return tally.placed(time.perf_counter() - begun)

    async def _connect(self) -> "_Connection":
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self.host, self.port)
        return connection

    def _bodies(self, lines: int) -> Iterator[bytes]:
        return cycle([self.request(orjson.dumps(wish(skus))) for skus in baskets(lines)])


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Return the moments, in seconds, at which independent customers come, `rate` of them a second (Poisson)."""
    chance = random.Random(seed)  # noqa: S311 - a load that can be repeated, no secret
    moments: list[float] = []
    now = chance.expovariate(rate)
    while now < seconds:
        moments.append(now)
        now += chance.expovariate(rate)
    return moments


class _Tally:
    def __init__(self, tell: Callable[[int], None] = lambda _: None) -> None:
        self._tell = tell
        self._orders: list[Sent] = []
        self._refused: dict[str, int] = {}

    def add(self, status: bytes, body: bytes, due: float) -> None:
        answered = time.time() - due
        if status != CREATED:
            name = status.decode(errors="replace")
            self._refused[name] = self._refused.get(name, 0) + 1
            return
        self._orders.append(Sent(orjson.loads(body)["order_id"], due, answered))
        self._tell(1)

    def placed(self, seconds: float) -> Placed:
        return Placed(self._orders, seconds, self._refused)


class _Connection(asyncio.Protocol):
    """A kept-alive connection that carries one request at a time; answers must state their Content-Length."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None
        self._read = b""
        self._idle_since = time.monotonic()

    @property
    def is_fit(self) -> bool:
        """Whether the server has not hung up, nor is about to."""
        is_open = self._transport is not None and not self._transport.is_closing()
        return is_open and time.monotonic() - self._idle_since < MOST_IDLE

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Send a request; returns the answer's status and body. Raises StackError when the server hangs up."""
        if self._transport is None or self._transport.is_closing():
            raise StackError("the API closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only

    @override
    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._read[:end].lower()
        begin = head.find(b"\r\ncontent-length:")
        if begin < 0:
            self._fail("an answer without Content-Length")
            return
        length = int(head[begin + 17 :].split(b"\r\n", 1)[0])
        if len(self._read) < end + 4 + length:
            return
        body, self._read = self._read[end + 4 : end + 4 + length], self._read[end + 4 + length :]
        self._idle_since = time.monotonic()
        if self._answer and not self._answer.done():
            self._answer.set_result((head[9:12], body))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the API closed the connection")

    def _fail(self, why: str) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(StackError(why))


@contextmanager
def _closing(connections: Sequence[_Connection]) -> Generator[None]:
    try:
        yield
    finally:
        for connection in connections:
            connection.close()
