"""An API on a socket, which answers when the test says so."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from benchmarks.client import Api

ACCEPTED = b'HTTP/1.1 201 Created\r\nContent-Length: 20\r\n\r\n{"order_id": "0001"}'
Answer = Callable[[], Awaitable[bytes]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncGenerator[Api]:
    """Serve `answer` to each request, each connection by itself."""
    open_ones: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            open_ones.add(task)
        while head := await _head(reader):
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(await answer())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Api(f"http://127.0.0.1:{port}", {"Authorization": "Bearer key"})
        await asyncio.gather(*open_ones)  # clients have hung up


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
