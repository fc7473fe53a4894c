"""Traces by OpenTelemetry: one from the request over outbox, broker, retries and services to the order's last event.

Off unless OpenTelemetry's own variables ask for it; then nothing of its SDK is imported. A message's trace context
rests in its outbox row, so whoever sends the row, at whatever time, goes on with the trace. Spans name things by
OpenTelemetry's conventions for messaging (https://opentelemetry.io/docs/specs/semconv/messaging/) and hold ids alone.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from messaging.disclosure import known_id
from messaging.envelope import ATTEMPT, REDRIVE, REPLAY

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger(__name__)

Carrier = dict[str, str]
"""A trace context as it travels: the headers `traceparent` and `tracestate`."""

FLUSH_TIMEOUT = 2.0
"""Seconds that a service which ends gives to its last spans."""

_W3C = TraceContextTextMapPropagator()
_ENDPOINTS = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}
_COUNTS = (ATTEMPT, REDRIVE)
_NOTHING = nullcontext()


class Tracing:
    """What the kernel traces. Without a provider each call costs a comparison."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("messaging") if provider else None

    @property
    def is_on(self) -> bool:
        """Whether anything is traced."""
        return self._tracer is not None

    def consuming(self, queue: str, message: Any) -> AbstractContextManager[object]:
        """The handling of one delivery. It goes on with the message's trace; a replay begins one, linked to that."""
        if self._tracer is None:
            return _NOTHING
        headers, raw = message.headers, message.raw_message
        before, links = _W3C.extract(carried(headers), Context()), None
        if REPLAY in headers:
            before, links = Context(), _links(before)
        attributes = {
            "messaging.system": "rabbitmq",
            "messaging.operation.name": "consume",
            "messaging.operation.type": "process",
            "messaging.destination.name": queue,
            "messaging.message.id": known_id(raw.message_id) or "",
            "messaging.message.conversation_id": known_id(raw.correlation_id) or "",
            "messaging.message.body.size": len(message.body),
            "orders.redelivered": bool(raw.redelivered),
            **{f"orders.{name.removeprefix('x-')}": n for name in _COUNTS if type(n := headers.get(name)) is int},
        }
        return self._tracer.start_as_current_span(
            f"process {queue}", before, SpanKind.CONSUMER, attributes, links, **_UNTOLD
        )

    def preparing(self, queue: str) -> AbstractContextManager[object]:
        """A handler's remote call."""
        if self._tracer is None:
            return _NOTHING
        return self._tracer.start_as_current_span(f"prepare {queue}", kind=SpanKind.CLIENT, **_UNTOLD)

    def committing(self, members: Sequence[Mapping[str, str]]) -> AbstractContextManager[object]:
        """The transaction of a group. Of one message, it is part of its trace; of many, it is linked to all of them."""
        if self._tracer is None:
            return _NOTHING
        contexts = [_W3C.extract(carrier, Context()) for carrier in members if carrier]
        if not contexts:
            return _NOTHING  # a background task's: no order's business
        before, links = (contexts[0], None) if len(members) == 1 else (Context(), _links(*contexts))
        size = {"orders.group.size": len(members)}
        return self._tracer.start_as_current_span("commit group", before, SpanKind.INTERNAL, size, links, **_UNTOLD)

    @contextmanager
    def publishing(
        self, exchange: str, routing_key: str, message_id: str, headers: Mapping[str, Any]
    ) -> Generator[Mapping[str, Any]]:
        """The publishing of an event: goes on where its outbox row began. Gives the headers to send."""
        if self._tracer is None:
            yield headers
            return
        before = _W3C.extract(carried(headers), Context())
        attributes = {**_published(exchange, routing_key), "messaging.message.id": message_id}
        with self._tracer.start_as_current_span(
            f"publish {routing_key}", before, SpanKind.PRODUCER, attributes, **_UNTOLD
        ):
            here: dict[str, Any] = {**headers}
            _W3C.inject(here)
            yield here

    def setting_aside(self, exchange: str, queue: str) -> AbstractContextManager[object]:
        """The publishing of a message that failed. Its headers stay: its next attempt is a sibling of this one."""
        if self._tracer is None:
            return _NOTHING
        attributes = _published(exchange, queue)
        return self._tracer.start_as_current_span(f"publish {exchange}", None, SpanKind.PRODUCER, attributes, **_UNTOLD)

    def failed(self, error: BaseException) -> None:
        """What is being traced went wrong: the span tells the class of the error, the log the rest."""
        if self._tracer is not None:
            span = trace.get_current_span()
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)

    def context(self, headers: Mapping[str, Any]) -> Carrier:
        """The context for what follows: of what is being traced here, or else what came in the headers."""
        if self._tracer is None:
            return carried(headers)
        here: Carrier = {}
        _W3C.inject(here)
        return here or carried(headers)

    def serve(self, api: FastAPI) -> None:
        """Trace the requests of a REST application, except those that ask how the service is."""
        if self._provider is not None:
            from messaging import otlp  # noqa: PLC0415 - the SDK is imported by those who use it

            otlp.serve(api, self._provider)

    async def flush(self) -> None:
        """Send the last spans, for at most FLUSH_TIMEOUT seconds."""
        if self._provider is None:
            return
        sending = threading.Thread(target=self._provider.force_flush, name="last spans", daemon=True)
        sending.start()  # its time limit is not kept by the SDK, so the process ends without it if need be
        await asyncio.to_thread(sending.join, FLUSH_TIMEOUT)
        if sending.is_alive():
            log.warning("the last spans were not sent", seconds=FLUSH_TIMEOUT)


_UNTOLD: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}
"""An exception's text may repeat data: `failed` tells what may be told."""


def from_environment(service: str) -> Tracing:
    """Tracing as OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_ENDPOINT say; off without them."""
    said = {name: value for name, value in os.environ.items() if name.startswith("OTEL_") and value}  # empty is unset
    asked = said.get("OTEL_TRACES_EXPORTER", "none" if said.keys().isdisjoint(_ENDPOINTS) else "otlp")
    if asked == "none" or said.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Tracing()
    from messaging import otlp  # noqa: PLC0415 - as above

    return Tracing(otlp.provider(service, asked))


def carried(headers: Mapping[str, Any]) -> Carrier:
    """The trace context in a message's headers."""
    return {name: str(headers[name]) for name in ("traceparent", "tracestate") if name in headers}


def trace_id(headers: Mapping[str, Any]) -> str | None:
    """The trace that is being written here, or else the one that the headers tell of."""
    here = trace.get_current_span()
    if not here.get_span_context().is_valid:
        here = trace.get_current_span(_W3C.extract(carried(headers), Context()))
    found = here.get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None


def _links(*contexts: Context) -> list[Link]:
    found = (trace.get_current_span(each).get_span_context() for each in contexts)
    return [Link(each) for each in found if each.is_valid]


def _published(exchange: str, routing_key: str) -> dict[str, str]:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": exchange,
        "messaging.rabbitmq.destination.routing_key": routing_key,
    }
