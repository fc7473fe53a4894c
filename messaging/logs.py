"""Structured logs: JSON for machines, aligned text for a terminal. No line tells personal data or a secret.

A line that is written while a message is handled says which: service, queue, event, order, message_id, attempt, trace.
SIGUSR1 makes a running service tell everything (debug), SIGUSR2 makes it go back to the level of its settings.
"""

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, ExcInfo, WrappedLogger
from typing_extensions import override

from messaging.disclosure import known_id, masked, trace, without_secrets
from messaging.envelope import ATTEMPT
from messaging.tracing import trace_id

log = structlog.get_logger(__name__)

MOST_TELLING = "debug"


@dataclass(frozen=True, slots=True)
class Subject:
    """The message that lines are about. It is described when a line is written, so that silence costs nothing."""

    queue: str
    event: str
    message: Any

    def described(self) -> EventDict:
        """What a line says of it; what stands in the place of an id or a count and is none is not repeated."""
        raw, attempts = self.message.raw_message, self.message.headers.get(ATTEMPT)
        facts: EventDict = {
            "queue": self.queue,
            "event_name": self.event,
            "order": known_id(raw.correlation_id),
            "message_id": known_id(raw.message_id),
            "attempt": 1 + (attempts if type(attempts) is int else 0),
        }
        return {name: value for name, value in facts.items() if value is not None}


_subject: ContextVar[Subject | None] = ContextVar("subject", default=None)


def subject() -> Subject | None:
    """What lines are about here; for whoever goes on in another task."""
    return _subject.get()


def about(it: Subject | None) -> AbstractContextManager[None]:
    """Lines that are written meanwhile, in this task, are about it."""
    return _About(it)


class _About(AbstractContextManager[None]):
    """Entered several times for every message: a generator takes twice as long."""

    __slots__ = ("_it", "_token")

    def __init__(self, it: Subject | None) -> None:
        self._it = it

    @override
    def __enter__(self) -> None:
        self._token = _subject.set(self._it)

    @override
    def __exit__(self, *_: object) -> None:
        _subject.reset(self._token)


class Discreet(logging.Formatter):
    """For lines of libraries, which use the standard library's logging."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))

    @override
    def formatException(self, ei: object) -> str:
        error = ei[1] if isinstance(ei, tuple) else None  # pyright: ignore[reportUnknownVariableType]
        return trace(error).rstrip() if isinstance(error, BaseException) else ""


def configure(service: str, level: str, form: Literal["console", "json"]) -> None:
    """Log to standard error, every line with the service's name."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=32, exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_subject,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_trace),
            _mask,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    set_level(level)
    structlog.contextvars.bind_contextvars(service=service)
    discreet, handler = Discreet("%(levelname)s %(name)s %(message)s"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(discreet)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for logger in logging.getLogger().manager.loggerDict.values():
        for its_own in logger.handlers if isinstance(logger, logging.Logger) else ():
            its_own.setFormatter(discreet)  # uvicorn and FastStream bring handlers


_details = True


def details_are_told() -> bool:
    """Whether lines at the level debug are written; a line that is not still costs 3 µs."""
    return _details


def set_level(level: str) -> None:
    """From now on tell what is at least so important. Libraries stay at warnings: their details repeat payloads."""
    global _details  # noqa: PLW0603 - as structlog's configuration, it belongs to the process
    _details = logging.getLevelNamesMapping()[level.upper()] <= logging.DEBUG
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()])
    )


@contextmanager
def switchable(level: str) -> Generator[None]:
    """SIGUSR1 sets the level to debug meanwhile, SIGUSR2 back to this one; only the main thread hears them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    levels = {signal.SIGUSR1: MOST_TELLING, signal.SIGUSR2: level}
    for number, its_level in levels.items():
        loop.add_signal_handler(number, _switch, its_level)
    try:
        yield
    finally:
        for number in levels:
            loop.remove_signal_handler(number)


def add_subject(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """What the line is about, and its trace; what the line says itself stays."""
    it = _subject.get()
    if it is not None:
        line = {**it.described(), **line}
    if found := trace_id(it.message.headers if it else {}):
        line["trace"] = found
    return line


def _switch(level: str) -> None:
    set_level(level)
    log.warning("log level is set", log_level=level)


def _mask(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    return masked(line)


def _trace(exc_info: ExcInfo) -> str:
    return trace(exc_info[1]).rstrip()
