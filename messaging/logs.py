"""Structured logs: JSON for machines, aligned text for a terminal. No line tells personal data or a secret."""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, ExcInfo, WrappedLogger
from typing_extensions import override

from messaging.disclosure import masked, trace, without_secrets


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
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_trace),
            _mask,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
    discreet, handler = Discreet("%(levelname)s %(name)s %(message)s"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(discreet)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for logger in logging.getLogger().manager.loggerDict.values():
        for its_own in logger.handlers if isinstance(logger, logging.Logger) else ():
            its_own.setFormatter(discreet)  # uvicorn and FastStream bring handlers


def _mask(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    return masked(line)


def _trace(exc_info: ExcInfo) -> str:
    return trace(exc_info[1]).rstrip()
