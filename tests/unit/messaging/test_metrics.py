"""`/metrics`: what is counted, under few names, at little cost."""

from collections.abc import AsyncGenerator, Awaitable, Callable

import httpx2
import pytest
import pytest_asyncio
from faststream.rabbit import TestRabbitBroker
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from sqlalchemy import text
from starlette.applications import Starlette

import inventory.app
import inventory.settings
import operations.app
import operations.settings
import order_api.app
import payment.app
import payment.settings
import shipping.app
import shipping.settings
from contracts import OrderCreated
from messaging.service import Service
from messaging.testing import envelope
from tests.docs.markdown import ROOT, Page, first_cells

LABELS = {"queue", "event", "outcome", "le"}
MOST_SERIES = 600
"""Of one service: what a small Prometheus scrapes every few seconds without noticing."""
QUEUE = "payment.order.created"
EVENT = OrderCreated.example()


@pytest_asyncio.fixture
async def payments(run_in_memory: Callable[..., Awaitable[Service]]) -> AsyncGenerator[Service]:
    """Payment on a database of its own."""
    yield await run_in_memory(payment.app.build, payment.settings.Settings, gateway_latency=0)


async def scrape(service: Service) -> list[Sample]:
    """What a scraper reads."""
    transport = httpx2.ASGITransport(Starlette(routes=service.health.routes))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]


async def value(service: Service, name: str, **labels: str) -> float | None:
    """One number; None if it is not there."""
    found = [each.value for each in await scrape(service) if each.name == name and each.labels == labels]
    return found[0] if found else None


def built() -> list[Service]:
    """The services, not started."""
    return [
        order_api.app.service,  # with its REST application
        payment.app.build(payment.settings.Settings()),
        inventory.app.build(inventory.settings.Settings()),
        shipping.app.build(shipping.settings.Settings()),
        operations.app.build(operations.settings.Settings()),
    ]


async def test_the_number_of_series_is_small_and_fixed() -> None:
    """Each service has all of its series from the start, no more than MOST_SERIES, with no label but those allowed."""
    for service in built():
        samples = await scrape(service)
        assert len(samples) <= MOST_SERIES, f"{service.name}: {len(samples)}"
        assert {label for sample in samples for label in sample.labels} <= LABELS
        queues = {sample.labels["queue"] for sample in samples if "queue" in sample.labels}
        assert queues == set(service.routes)


async def test_the_page_lists_every_metric() -> None:
    """The how-to has a row for each metric of ours, by the name that a query uses, and no other."""
    families = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in order_api.app.service.metrics.registry.collect()
        if family.name.startswith("orders_")
    }
    absent = {"orders_outbox_unsent", "orders_outbox_oldest_seconds", "orders_suspects"}  # without a database
    page = Page(ROOT / "docs" / "howto" / "observe.md")
    assert set(first_cells(page.section("Numbers"))) == families | absent


async def test_no_series_is_added_by_what_is_handled(payments: Service) -> None:
    """Messages change numbers and add no series: no label holds what came with a message."""
    before = {(each.name, *each.labels.items()) for each in await scrape(payments)}
    async with TestRabbitBroker(payments.broker) as broker:
        for number in range(3):
            event = OrderCreated.model_validate(EVENT.model_dump())
            await broker.publish(event, **envelope(event, redrive=number))
    assert {(each.name, *each.labels.items()) for each in await scrape(payments)} == before


async def test_a_message_is_counted_by_what_became_of_it(payments: Service) -> None:
    """The first delivery was applied and timed, the second one a duplicate, a re-drive is both applied and redriven."""
    async with TestRabbitBroker(payments.broker) as broker:
        await broker.publish(EVENT, **envelope(EVENT))
        await broker.publish(EVENT, **envelope(EVENT))
        await broker.publish(EVENT, **envelope(EVENT, redrive=1))
    assert await value(payments, "orders_handled_total", queue=QUEUE, outcome="applied") == 2
    assert await value(payments, "orders_handled_total", queue=QUEUE, outcome="duplicate") == 1
    assert await value(payments, "orders_redriven_total", queue=QUEUE) == 1
    assert await value(payments, "orders_age_seconds_count", queue=QUEUE) == 2
    assert await value(payments, "orders_handling_seconds_count", queue=QUEUE) == 3
    assert await value(payments, "orders_group_size_sum") == 3
    assert await value(payments, "orders_in_progress") == 0


async def test_the_outbox_is_counted_when_somebody_asks(payments: Service) -> None:
    """What no broker has confirmed, and how old it is; a database that does not answer is said to be away."""
    async with payments.database.session() as db:
        core = await db.connection()
        await core.execute(
            text(
                "INSERT INTO outbox (id, event_id, name, type, body, headers, redrive, created_at, due_at) VALUES "
                "(gen_random_uuid(), gen_random_uuid(), 'x', 'x', '', '{}', 0, now() - interval '1 hour', now())"
            )
        )
        await db.commit()
    assert await value(payments, "orders_outbox_unsent") == 1
    assert await value(payments, "orders_outbox_oldest_seconds") == pytest.approx(3600, abs=60)
    assert await value(payments, "orders_suspects") == 0
    assert await value(payments, "orders_database_up") == 1
    without = payment.app.build(payment.settings.Settings())
    assert await value(without, "orders_database_up") == 0
    assert await value(without, "orders_outbox_unsent") is None


async def test_two_services_in_a_process_count_apart(payments: Service) -> None:
    """Each service has a registry of its own."""
    other = payment.app.build(payment.settings.Settings())
    async with TestRabbitBroker(payments.broker) as broker:
        await broker.publish(EVENT, **envelope(EVENT))
    assert await value(payments, "orders_handled_total", queue=QUEUE, outcome="applied") == 1
    assert await value(other, "orders_handled_total", queue=QUEUE, outcome="applied") == 0
