"""Monitoring inside the control room: what it tells at `/metrics`, and that nothing goes to AWS unasked."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping

import pytest
from prometheus_client import generate_latest
from pydantic import SecretStr

import operations.app
from messaging.asyncapi.reading import DOCUMENT
from messaging.service import Service
from operations import monitor
from operations.cloudwatch import CloudWatchSettings
from operations.monitoring.settings import MonitoringSettings
from operations.settings import Settings
from tests.broker.rabbit import until

RunInMemory = Callable[..., Awaitable[Service]]
MakeDatabase = Callable[[str], Awaitable[str]]


def watching(urls: Mapping[str, str], aws: CloudWatchSettings) -> Callable[[Settings], Service]:
    """Build the control room with its monitoring."""

    @functools.wraps(operations.app.build)
    def build(settings: Settings) -> Service:
        service = operations.app.build(settings)
        secret = {name: SecretStr(url) for name, url in urls.items()}
        monitor.install(service, DOCUMENT, secret, MonitoringSettings(interval=60), aws)
        return service

    return build


async def first_snapshot(service: Service) -> str:
    """What the control room tells once it has looked; the next look is a minute away."""

    async def told() -> str | None:
        page = generate_latest(service.metrics.registry).decode()
        return page if "orders_system_heartbeat 1.0" in page else None

    page = await until(told)
    assert page
    return page


def tasks() -> set[str]:
    """The names of what runs."""
    return {task.get_name() for task in asyncio.all_tasks()}


@pytest.mark.database
async def test_the_control_room_tells_what_it_has_addresses_for(
    run_in_memory: RunInMemory, clone_database: MakeDatabase
) -> None:
    """Databases that are given, and its own; of the broker, without its management API, nothing. AWS hears nothing."""
    urls = {"order_api": await clone_database("order_api"), "payment": await clone_database("payment")}
    service = await run_in_memory(watching(urls, CloudWatchSettings()), Settings)
    page = await first_snapshot(service)
    for line in (
        'orders_system_outbox_backlog{service="payment"} 0.0',
        'orders_system_outbox_backlog{service="operations"} 0.0',
        'orders_system_orders_open{status="pending"} 0.0',
        'orders_system_dead_letters_open{service="shipping"} 0.0',
        'orders_system_source_unreadable{source="control-room"} 0.0',
    ):
        assert line in page
    assert "orders_system_queue_ready" not in page
    assert "orders_handled_total" in page
    assert "monitoring" in tasks()
    assert "cloudwatch" not in tasks()


@pytest.mark.database
async def test_cloudwatch_is_sent_to_when_it_is_enabled(run_in_memory: RunInMemory) -> None:
    """A task of its own, beside the collector."""
    aws = CloudWatchSettings(enabled=True, region="eu-central-1", endpoint_url="http://127.0.0.1:9", timeout=0.1)
    await first_snapshot(await run_in_memory(watching({}, aws), Settings))
    assert {"monitoring", "cloudwatch"} <= tasks()


@pytest.mark.database
async def test_a_database_that_is_away_is_told_of(run_in_memory: RunInMemory) -> None:
    """The others are told all the same; the service stays ready."""
    urls = {"payment": "postgresql://reader@127.0.0.1:9/payment"}
    service = await run_in_memory(watching(urls, CloudWatchSettings()), Settings)
    page = await first_snapshot(service)
    assert 'orders_system_source_unreadable{source="payment-database"} 1.0' in page
    assert 'orders_system_source_unreadable{source="operations-database"} 0.0' in page
    assert "database" not in await service.health.problems()
