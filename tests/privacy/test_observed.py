"""Whoever watches orders, by logs, numbers, traces, errors and dead letters, learns nobody's data."""

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import aio_pika
import httpx2
import pytest
import structlog
from opentelemetry.instrumentation.asyncpg import (  # pyright: ignore[reportMissingTypeStubs]
    AsyncPGInstrumentor,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette

from devstack.servers import RabbitServer
from messaging.disclosure import without_secrets
from messaging.otlp import Discreet
from messaging.outcome import Reject, Retry
from messaging.retry import reason_of
from messaging.service import Service
from messaging.topology import REQUEUE
from tests.broker.collector import Collector, collecting
from tests.broker.four import World, four_services
from tests.broker.rabbit import until
from tests.e2e.shop import FINAL
from tests.privacy.places import KINDS, MARK, wish

JSON = {"Content-Type": "application/json"}
CARD = "4111111111111111"
"""The number that every card network's documentation uses."""
QUEUE = "payment.order.created"
EVENT_ID = "01a20859-74b8-43be-af8f-9576111db55f"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector, and the variable that sends every service's spans to it."""
    with collecting() as it:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", it.endpoint)
        yield it
    AsyncPGInstrumentor().uninstrument()


@pytest.fixture(autouse=True)
def _logs_are_reset() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def told(text: str) -> list[str]:
    """What was planted and is in a text."""
    return [each for each in (MARK, CARD) if each in text]


async def ended(world: World, order_id: str) -> None:
    """Wait for an order's end."""

    async def final() -> bool:
        return (await world.shop.timeline(order_id)).status in FINAL

    await until(final)


async def place(world: World) -> None:
    """Orders of every ending, and one whose token is the number of a card, which the gateway declines."""
    for body in (*KINDS, wish(card=CARD), wish(card="tok_flaky")):
        answer = await world.http.post("/orders", json=body, headers={"User-Agent": MARK})
        assert answer.status_code == 201, answer.text
        await ended(world, answer.json()["order_id"])


async def ask_badly(world: World) -> list[str]:
    """Requests that are refused; returns the answers."""
    answers = [
        await world.http.post("/orders", json={**wish(), "payment_token": [CARD], "quantity": MARK}),
        await world.http.post("/orders", content=f'{{"customer_id": "{MARK}" {CARD}', headers=JSON),
        await world.http.get("/orders", params={"status": MARK}),
        await world.http.get(f"/orders/{MARK}"),
        await world.http.get(f"/{MARK}/{CARD}"),
        await world.http.get("/orders", headers={"traceparent": MARK, "Authorization": f"Bearer {CARD}"}),
    ]
    assert [answer.status_code for answer in answers] == [422, 400, 422, 422, 404, 401]
    return [answer.text for answer in answers]


async def send_poison(world: World) -> list[dict[str, Any]]:
    """Messages that break the contract, with data wherever data can be; returns how they were parked."""
    headers: dict[str, Any] = {"x-attempt": MARK, "x-redrive": CARD, "traceparent": MARK}
    messages = [
        aio_pika.Message(json.dumps({**wish(), "payment_token": [CARD]}).encode(), message_id=EVENT_ID),
        aio_pika.Message(f"{MARK} {CARD}".encode(), message_id=EVENT_ID),
        aio_pika.Message(b"{}", message_id=MARK, correlation_id=CARD, type=MARK, headers=headers),
    ]
    async with await aio_pika.connect(world.amqp_url) as connection, connection.channel() as channel:
        exchange = await channel.get_exchange(REQUEUE, ensure=False)
        for message in messages:
            await exchange.publish(message, routing_key=QUEUE)
        parked = await channel.get_queue(f"{QUEUE}.dlq", ensure=False)
        taken = [await until(lambda: parked.get(no_ack=True, fail=False)) for _ in messages]
    return [dict(letter.headers) for letter in taken]


async def test_nothing_that_is_observed_tells_personal_data(
    rabbitmq_server: RabbitServer,
    clone_database: Callable[[str], Awaitable[str]],
    collector: Collector,
) -> None:
    """Marked orders and a card's number meet every ending and refusal: no log, number, span or reason has them."""
    with redirect_stderr(StringIO()) as logged:
        async with four_services(rabbitmq_server, clone_database, log_level="debug", log_format="json") as world:
            await place(world)
            answers = await ask_badly(world)
            letters = await send_poison(world)
            numbers = [(await scrape(service)) for service in world.services]

    assert told(logged.getvalue()) == []
    for line in ("message handled", "message waits for a retry", "message parked"):
        assert line in logged.getvalue()
    assert [told(text) for text in answers] == [[]] * len(answers)
    assert [told(text) for text in numbers] == [[]] * len(numbers)
    reasons = [f"{letter['x-error-class']} {letter['x-error-reason']}" for letter in letters]
    assert [told(text) for text in reasons] == [[]] * 3
    leaks = {span.name for span in collector.spans if told(span.whole)}
    assert leaks == set()
    assert {"POST /orders", f"process {QUEUE}", "commit group", "publish order.created"} <= {
        span.name for span in collector.spans
    }


async def scrape(service: Service) -> str:
    """What `/metrics` answers."""
    transport = httpx2.ASGITransport(Starlette(routes=service.health.routes))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        return (await http.get("/metrics")).text


def test_an_error_on_a_span_is_left_its_class() -> None:
    """An exception that a library records tells its message and traceback; what is exported has neither."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Discreet(exporter)))
    with pytest.raises(ValueError, match=MARK), provider.get_tracer("test").start_as_current_span("planted"):
        raise ValueError(f"{MARK} {CARD}")
    (span,) = exporter.get_finished_spans()
    assert told(span.to_json()) == []
    assert [dict(event.attributes or {})["exception.type"] for event in span.events] == ["ValueError"]


@pytest.mark.parametrize("written_as", [CARD, "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005"])
def test_numbers_of_cards_are_masked(written_as: str) -> None:
    """However it is written, in a log line or the reason of a dead letter."""
    assert without_secrets(f"card {written_as}, please") == "card ***, please"
    for error in (ValueError, Retry, Reject):
        assert reason_of(error(f"no such card: {written_as}")) == "no such card: ***"


@pytest.mark.parametrize(
    "number", ["4111111111111112", "123456", "01a20859-74b8-4111-8111-111111111111", "1763918284.4111111111111111"]
)
def test_other_numbers_stay(number: str) -> None:
    """A wrong check digit, a short number, an id or a moment are no card's number."""
    assert without_secrets(f"order {number}") == f"order {number}"
