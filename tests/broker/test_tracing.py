"""One trace from the request to the order's last event, whatever happens to a message on its way."""

import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import aio_pika
import pytest
from opentelemetry.instrumentation.asyncpg import (  # pyright: ignore[reportMissingTypeStubs]
    AsyncPGInstrumentor,
)
from pydantic import SecretStr
from sqlalchemy import text

from devstack.servers import RabbitServer
from messaging.database import Database
from messaging.settings import ServiceSettings
from messaging.topology import REQUEUE
from messaging.tracing import FLUSH_TIMEOUT
from tests.broker import processes
from tests.broker.collector import Collector, Span, collecting
from tests.broker.conftest import TIERS
from tests.broker.four import World, four_services
from tests.broker.probe import orders
from tests.broker.rabbit import Broker, one, until
from tests.e2e.shop import wish
from tests.invariants.expectations import Ending

HAPPY = {
    "payment.order.created",
    "inventory.payment.authorized",
    "order_api.payment.authorized",
    "shipping.inventory.reserved",
    "order_api.inventory.reserved",
    "payment.shipping.ready",
    "inventory.shipping.ready",
    "order_api.shipping.ready",
    "order_api.payment.captured",
    "order_api.inventory.shipped",
}
"""The queues that a good order passes."""
LAST = {"payment.captured", "inventory.shipped"}

Run = Callable[[], AbstractAsyncContextManager[World]]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector, and the variable that sends every service's spans to it."""
    with collecting() as it:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", it.endpoint)
        yield it
    AsyncPGInstrumentor().uninstrument()


@pytest.fixture
def world(rabbitmq_server: RabbitServer, clone_database: Callable[[str], Awaitable[str]], collector: Collector) -> Run:
    """Run the four services; at their end they send their last spans, so look at those after the block."""
    assert collector.spans == []
    return lambda: four_services(rabbitmq_server, clone_database)


async def settled(world: World, order_id: str) -> None:
    """Wait until all was told about a good order, and each event that was said is known as sent."""
    await world.shop.told(order_id, LAST)
    await world.quiet()


def processed(spans: list[Span]) -> list[str]:
    """The queues whose messages were handled."""
    return [span.name.removeprefix("process ") for span in spans if span.name.startswith("process ")]


def trace_of_order(collector: Collector) -> list[Span]:
    """The spans of the trace that began with the one order."""
    (placed,) = collector.named("POST /orders")
    assert placed.parent == ""
    return collector.trace(placed.trace)


async def test_one_trace_from_request_to_ready(world: Run, collector: Collector) -> None:
    """Outbox, broker and four services are one trace, each message's handling beneath its publishing; no orphans."""
    async with world() as running:
        await settled(running, await running.shop.place(wish(Ending.READY)))
    spans = trace_of_order(collector)
    assert sorted(processed(spans)) == sorted(HAPPY)
    assert {span.service for span in spans} == {"order_api", "payment", "inventory", "shipping"}
    names = {span.id: span.name for span in collector.spans}
    for span in spans:
        if span.name.startswith("process "):
            assert names[span.parent] == f"publish {span.name.partition('.')[2]}"
    assert "prepare payment.order.created" in names.values()
    assert names[next(span.parent for span in spans if span.name == "WITH")] == "commit group"
    assert collector.orphans == []
    roots = {span.name for span in collector.spans if not span.parent}
    shared = {"commit group"}  # that of several messages, which is linked to all of them
    assert roots - shared == {"POST /orders", "GET /orders/{order_id}/timeline"}


async def test_a_retry_stays_in_the_trace(world: Run, collector: Collector) -> None:
    """A message that fails twice has three handlings in its order's trace, and the way to each tier."""
    async with world() as running:
        await settled(running, await running.shop.place(wish(Ending.READY, token="tok_flaky")))
    spans = trace_of_order(collector)
    attempts = [span for span in spans if span.name == "process payment.order.created"]
    assert sorted(span.attributes.get("orders.attempt", 0) for span in attempts) == [0, 1, 2]
    assert [span.attributes["error.type"] for span in attempts if "error.type" in span.attributes] != []
    assert len({span.parent for span in attempts}) == 1
    assert len([span for span in spans if span.name.startswith("publish orders.retry.")]) == 2
    assert collector.orphans == []


async def test_a_redrive_stays_in_the_trace(world: Run, collector: Collector) -> None:
    """What is said again about an overdue order belongs to the trace of the request that placed it."""
    async with world() as running:
        order_id = await running.shop.place(wish(Ending.READY))
        await settled(running, order_id)
        async with running.orders.session() as db:
            await (await db.connection()).execute(text("UPDATE orders SET next_deadline = now()"))
            await db.commit()
        await until(
            lambda: one(running.orders, "SELECT count(*) FROM inbox WHERE queue LIKE '%captured' AND redrive = 1")
        )
        await running.quiet()
    spans = trace_of_order(collector)
    again = [span for span in spans if span.attributes.get("orders.redrive") == 1]
    assert {"payment.order.created", "order_api.payment.captured"} <= set(processed(again))
    assert collector.orphans == []


async def test_what_a_crash_left_unsent_goes_on_with_its_trace(world: Run, collector: Collector) -> None:
    """An event that only the relay sends, long after its request, is handled in the trace of its request."""
    async with world() as running:
        await settled(running, await running.shop.place(wish(Ending.READY)))
        async with running.orders.session() as db:
            await (await db.connection()).execute(
                text("UPDATE outbox SET sent_at = NULL, due_at = now() WHERE name = 'order.created'")
            )
            await db.commit()
        await running.quiet()
    spans = trace_of_order(collector)
    published = [span for span in spans if span.name == "publish order.created"]
    assert len(published) == 2
    assert len({span.parent for span in published}) == 1
    assert collector.orphans == []


async def test_a_replay_is_linked_to_the_original(world: Run, collector: Collector) -> None:
    """A dead letter that comes back begins a trace of its own, which names the one that it came from."""
    async with world() as running:
        await settled(running, await running.shop.place(wish(Ending.READY)))
        async with running.orders.session() as db:
            row = (
                await (await db.connection()).execute(
                    text("SELECT body, headers, event_id FROM outbox WHERE name = 'order.created'")
                )
            ).one()
        replay = "01a20859-74b8-43be-af8f-9576111db55f"
        message = aio_pika.Message(
            row.body.encode(),
            headers={**row.headers, "x-replay-id": replay},
            message_id=str(row.event_id),
            content_type="application/json",
        )
        async with await aio_pika.connect(running.amqp_url) as connection, connection.channel() as channel:
            exchange = await channel.get_exchange(REQUEUE, ensure=False)
            await exchange.publish(message, routing_key="payment.order.created")
            await until(lambda: _has(channel, "orders.unrouted"))  # the receipt: nobody hears it here
    original = collector.named("POST /orders")[0].trace
    replayed = [span for span in collector.named("process payment.order.created") if span.trace != original]
    assert len(replayed) == 1
    assert replayed[0].parent == ""
    assert [trace for trace, _ in replayed[0].links] == [original]
    assert {"publish replay.handled", "commit group"} <= {span.name for span in collector.trace(replayed[0].trace)}


async def _has(channel: Any, queue: str) -> bool:
    return bool((await channel.declare_queue(queue, passive=True)).declaration_result.message_count)


async def test_a_silent_collector_holds_nobody_up(
    payments: Broker, service_database: Callable[[str], Awaitable[Database]]
) -> None:
    """With a collector that takes connections and never answers, orders are handled, and the service ends in time."""
    database = await service_database("payment")
    settings = ServiceSettings(
        amqp_url=SecretStr(payments.url), database_url=SecretStr(database.url), retry_tiers=TIERS
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        running = await processes.start("payment", settings, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        await running.ready()
        await payments.publish(*orders(20))
        said = {(await payments.take("test.payment.authorized")).message_id for _ in range(20)}
        asked = time.monotonic()
        assert await running.stop() == 0
    assert len(said) == 20
    assert time.monotonic() - asked < FLUSH_TIMEOUT + 8  # the rest is the machine's, which may be busy


def ran(program: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A Python program, with nothing but these variables."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=variables)  # noqa: S603 - our own


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_TRACES_EXPORTER": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
    ],
    ids=["nothing", "empty", "none", "disabled"],
)
def test_without_tracing_the_sdk_is_not_even_imported(variables: dict[str, str]) -> None:
    """Off by default: a service that nobody asked for traces does not load OpenTelemetry's SDK."""
    program = "import sys, order_api.app, payment.app; print('opentelemetry.sdk' in sys.modules)"
    assert ran(program, variables).stdout.strip() == "False"


def test_an_exporter_that_there_is_not_is_named() -> None:
    """A service that is asked for what it cannot do says so at its start, and what it can."""
    program = "import payment.app"
    for variables, told in (
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER is 'zipkin'; here it can be otlp, console or none"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "here it can be http/protobuf"),
    ):
        found = ran(program, variables)
        assert found.returncode != 0
        assert told in found.stderr
