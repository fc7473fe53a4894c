"""Log lines say which message they are about, and how much is told can be changed while a service runs."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import structlog
from faststream.rabbit import TestRabbitBroker

import payment.app
import payment.settings
from contracts import OrderCreated
from messaging.logs import configure, switchable
from messaging.service import Service
from messaging.testing import envelope
from tests.broker.rabbit import until

log = structlog.get_logger(__name__)

EVENT = OrderCreated.example()
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@contextmanager
def logged(level: str) -> Generator[Callable[[], list[dict[str, Any]]]]:
    """Log as a service does in a container; gives the lines that were written so far."""
    with redirect_stderr(StringIO()) as written, structlog.contextvars.bound_contextvars():
        configure("payment", level, "json")
        yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


async def test_a_line_about_a_message_says_which(run_in_memory: Callable[..., Awaitable[Service]]) -> None:
    """Service, queue, event, order, message, attempt and trace are on the line; a line after it has none of them."""
    service = await run_in_memory(payment.app.build, payment.settings.Settings, gateway_latency=0)
    options = envelope(EVENT)
    options["headers"] = {"x-attempt": 2, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    with logged("debug") as lines:
        async with TestRabbitBroker(service.broker) as broker:
            await broker.publish(EVENT, **options)
        log.info("afterwards")
    handled = next(line for line in lines() if line["event"] == "message handled")
    assert handled | {"timestamp": None} == {
        "event": "message handled",
        "outcome": "applied",
        "service": "payment",
        "queue": "payment.order.created",
        "event_name": "order.created",
        "order": str(EVENT.order_id),
        "message_id": str(EVENT.event_id),
        "attempt": 3,
        "trace": TRACE,
        "level": "debug",
        "timestamp": None,
    }
    assert lines()[-1].keys() == {"event", "service", "level", "timestamp"}


async def test_signals_change_what_is_told() -> None:
    """SIGUSR1 makes a running service tell everything, SIGUSR2 as much as before; nothing is restarted."""
    with logged("warning") as lines, switchable("warning"):
        log.info("before")
        await switched(signal.SIGUSR1, lines)
        log.debug("while everything is told")
        await switched(signal.SIGUSR2, lines)
        log.info("behind")
        log.warning("last")
    assert [(line["event"], line.get("log_level")) for line in lines()] == [
        ("log level is set", "debug"),
        ("while everything is told", None),
        ("log level is set", "warning"),
        ("last", None),
    ]


async def test_a_service_may_run_beside_the_main_thread() -> None:
    """Python gives signals to the main thread alone: elsewhere, as in a test client, a service does without them."""

    async def inside() -> str:
        with switchable("warning"):
            return threading.current_thread().name

    assert await asyncio.to_thread(asyncio.run, inside()) != threading.main_thread().name


async def switched(number: signal.Signals, lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Send this process a signal and wait until it was heard."""
    known = len(lines())
    os.kill(os.getpid(), number)

    async def heard() -> bool:
        return len(lines()) > known

    await until(heard)
