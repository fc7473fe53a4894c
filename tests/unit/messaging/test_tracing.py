"""What is traced of a group, and that its end waits for nobody."""

import asyncio
import threading
import time

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from typing_extensions import override

from messaging import tracing
from messaging.tracing import Tracing

HEADERS = {
    "x-redrive": 1,
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "a=b",
}
CONTEXT = {"traceparent": HEADERS["traceparent"], "tracestate": "a=b"}


def carrier(number: int) -> dict[str, str]:
    """The context of a message of some trace."""
    return {"traceparent": f"00-{number:032x}-{number:016x}-01"}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Where spans end up."""
    return InMemorySpanExporter()


@pytest.fixture
def on(exporter: InMemorySpanExporter) -> Tracing:
    """Tracing to that exporter."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(provider)


def the_one(exporter: InMemorySpanExporter) -> ReadableSpan:
    """The only span."""
    (span,) = exporter.get_finished_spans()
    return span


def test_a_shared_transaction_is_linked_to_all_of_its_messages(on: Tracing, exporter: InMemorySpanExporter) -> None:
    """The commit of many messages is no one's child: it names each trace that it is part of."""
    with on.committing([carrier(1), {}, carrier(2), carrier(3)]):
        pass
    span = the_one(exporter)
    assert span.parent is None
    assert [link.context.trace_id for link in span.links] == [1, 2, 3]
    assert dict(span.attributes or {}) == {"orders.group.size": 4}


def test_a_transaction_of_its_own_is_in_the_messages_trace(on: Tracing, exporter: InMemorySpanExporter) -> None:
    """The commit of one message is beneath the message's handling."""
    with on.committing([carrier(7)]):
        pass
    span = the_one(exporter)
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id, list(span.links)) == (7, 7, [])


def test_what_no_order_asked_for_is_not_traced(on: Tracing, exporter: InMemorySpanExporter) -> None:
    """The transactions of background tasks leave no spans."""
    with on.committing([{}]):
        pass
    assert exporter.get_finished_spans() == ()


def test_without_tracing_a_context_is_handed_on_as_it_came() -> None:
    """A service that traces nothing does not break the trace of those around it."""
    off = Tracing()
    assert off.context(HEADERS) == CONTEXT
    with off.publishing("orders.events", "order.created", "1", HEADERS) as headers:
        assert headers == HEADERS


def test_a_context_that_is_none_begins_a_trace(on: Tracing, exporter: InMemorySpanExporter) -> None:
    """Whatever somebody writes into the header, the message is handled and traced."""
    for wrong in ("", "MARKED", 7, b"\xff", ["x"]):
        with on.publishing("orders.events", "order.created", "1", {"traceparent": wrong}) as headers:
            assert headers["traceparent"].startswith("00-")
    assert [span.parent for span in exporter.get_finished_spans()] == [None] * 5


class Stuck(TracerProvider):
    """A provider whose collector takes a connection and says nothing."""

    def __init__(self) -> None:
        super().__init__(shutdown_on_exit=False)
        self.forever = threading.Event()

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.forever.wait()


async def test_the_last_spans_are_given_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that ends does not wait for a collector that is silent."""
    monkeypatch.setattr(tracing, "FLUSH_TIMEOUT", 0.1)
    stuck, started = Stuck(), time.monotonic()
    await Tracing(stuck).flush()
    assert time.monotonic() - started < 5
    stuck.forever.set()
    await asyncio.sleep(0)
