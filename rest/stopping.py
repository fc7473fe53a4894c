"""What has to be done when the process is told to end, ahead of the end of its requests."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)

Lifespan = Callable[[Any], contextlib.AbstractAsyncContextManager[None]]


def ending_well(lifespan: Lifespan, let_go: Callable[[], None]) -> Lifespan:
    """Return the lifespan, with `let_go` called as soon as a signal asks for the end.

    A server waits for its requests before it ends the lifespan, and one that follows an order live has no end of its
    own: without this, each of them would hold up every stop.
    """

    @contextlib.asynccontextmanager
    async def lifespan_with_signals(app: Any) -> AsyncGenerator[None]:
        async with lifespan(app):
            with _first(let_go):
                yield
            let_go()

    return lifespan_with_signals


@contextlib.contextmanager
def _first(let_go: Callable[[], None]) -> Generator[None]:
    """Have the server's own signal handlers called after `let_go`, meanwhile."""
    if threading.current_thread() is not threading.main_thread():  # signals are not this thread's
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(let_go)
        previous = before[signal.Signals(number)]
        if callable(previous):
            previous(number, frame)

    for number, previous in before.items():
        if callable(previous):
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, previous in before.items():
            if callable(previous):
                signal.signal(number, previous)
