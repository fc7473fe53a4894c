"""A TCP proxy on 127.0.0.1 that can hold back, cut and forget what passes through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

CHUNK = 65536


@dataclass
class Proxy:
    """Forwards to one server until told otherwise."""

    host: str
    port: int
    listening: int = 0
    before_reply: Callable[[bytes], bool] | None = None
    """Asked about each piece that the server sends; when it says yes, the connection is reset instead."""
    resets: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, url: str) -> str:
        """The server's URL, through the proxy."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.listening}"))

    def __post_init__(self) -> None:
        self._heard.set()

    @property
    def connections(self) -> int:
        """How many pass through it now."""
        return len(self._writers) // 2

    def hush(self) -> None:
        """Become a black hole: connections stay open, nothing passes in either direction."""
        self._heard.clear()

    @property
    def hushed(self) -> bool:
        """Whether it is a black hole now."""
        return not self._heard.is_set()

    def speak(self) -> None:
        """Let everything pass again, what was held back first."""
        self._heard.set()

    def reset(self) -> None:
        """Cut every connection with a TCP reset."""
        for writer in list(self._writers):
            raw: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            self.resets += 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection, both ways."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            self._serving.discard(task)

    async def end(self) -> None:
        """Cut every connection; return when both sides of each are closed."""
        self.speak()
        self.reset()
        for task in self._serving:
            task.cancel()  # it may be connecting still
        if self._serving:
            await asyncio.wait(self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, far_writer}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(reader, far_writer, reply=False))
                both.create_task(self._forward(far_reader, writer, reply=True))
        except* OSError:
            self.resets += 0  # the other side is gone, too: the finally below closes it
        finally:
            self._writers -= {writer, far_writer}
            for end in (writer, far_writer):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, reply: bool) -> None:
        while piece := await reader.read(CHUNK):
            await self._heard.wait()
            if reply and self.before_reply is not None and self.before_reply(piece):
                self.reset()
                raise ConnectionResetError
            writer.write(piece)
            await writer.drain()
        raise ConnectionAbortedError  # one side has ended; end the other


@asynccontextmanager
async def proxy_for(url: str) -> AsyncGenerator[Proxy]:
    """A proxy in front of the server that a URL names."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 0)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.listening = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy
        server.close()
        await proxy.end()
