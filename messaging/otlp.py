"""OpenTelemetry's SDK, set up by its own variables. Imported only where traces are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asyncpg import (  # pyright: ignore[reportMissingTypeStubs]
    AsyncPGInstrumentor,
)
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status
from opentelemetry.util.types import Attributes
from typing_extensions import override

if TYPE_CHECKING:
    from fastapi import FastAPI

PROTOCOL = "http/protobuf"
QUIET_PATHS = "livez,readyz,metrics"
"""Requests of probes and scrapers, which nobody traces."""
TELLING = frozenset(
    {"http.url", "http.target", "url.full", "url.query", "url.path"}
    | {"http.user_agent", "user_agent.original", "net.peer.ip", "net.peer.port", "client.address", "client.port"}
    | {"exception.message", "exception.stacktrace"}
)
"""Attributes that repeat what was sent, by whom, or what an error was about. The route of a request is enough."""

_EXPORTERS: dict[str, type[SpanExporter]] = {"otlp": OTLPSpanExporter, "console": ConsoleSpanExporter}


def provider(service: str, exporter: str) -> TracerProvider:
    """Spans in batches to the exporter: `otlp` or `console`. Raises ValueError for what there is not.

    What cannot be sent is dropped, never waited for. `OTEL_SERVICE_NAME` names the service otherwise.
    """
    if exporter not in _EXPORTERS:
        raise ValueError(f"OTEL_TRACES_EXPORTER is {exporter!r}; here it can be {', '.join(_EXPORTERS)} or none")
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if (os.environ.get(name) or PROTOCOL) != PROTOCOL:
            raise ValueError(f"{name} is {os.environ[name]!r}; here it can be {PROTOCOL}, to port 4318 as a rule")
    resource = Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or service})
    made = TracerProvider(resource=resource, shutdown_on_exit=False)  # the service sends the last spans, in time
    made.add_span_processor(BatchSpanProcessor(Discreet(_EXPORTERS[exporter]())))
    database = AsyncPGInstrumentor()
    if not database.is_instrumented_by_opentelemetry:
        database.instrument(tracer_provider=made)
    return made


def serve(api: FastAPI, made: TracerProvider) -> None:
    """Trace the requests of a REST application."""
    from opentelemetry.instrumentation.fastapi import (  # noqa: PLC0415 - only images of REST services hold it
        FastAPIInstrumentor,
    )

    FastAPIInstrumentor.instrument_app(
        api, tracer_provider=made, excluded_urls=QUIET_PATHS, exclude_spans=["receive", "send"]
    )


class Discreet(SpanExporter):
    """Leaves out what may repeat personal data, and statements of background tasks, which are no order's business."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([discreet(span) for span in spans if not _is_background(span)])

    @override
    def shutdown(self) -> None:
        self._exporter.shutdown()

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def discreet(span: ReadableSpan) -> ReadableSpan:
    """The span without what may repeat personal data: of an error, only its class is left."""
    return ReadableSpan(
        span.name,
        span.context,
        span.parent,
        span.resource,
        _kept(span.attributes),
        [Event(event.name, _kept(event.attributes), event.timestamp) for event in span.events],
        span.links,
        span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _kept(attributes: Attributes) -> Attributes:
    return {name: value for name, value in (attributes or {}).items() if name not in TELLING}


def _is_background(span: ReadableSpan) -> bool:
    return span.parent is None and span.kind is SpanKind.CLIENT
