"""What stands beside the composed system by profile: the demo, the load and the fake CloudWatch."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import aioboto3  # pyright: ignore[reportMissingTypeStubs]
import httpx2
import pytest

from tests.broker.rabbit import until
from tests.docs.markdown import ROOT, Page
from tests.e2e.conftest import Expected
from tests.invariants.books import ask
from tests.invariants.expectations import Ending, Parked
from tests.stack.system import Composed, ComposedStack

PAGE = Page(ROOT / "docs" / "compose.md")
METRICS = {"Heartbeat", "QueueReady", "OutboxBacklog", "ServiceUp"}
"""Of each source one: the monitor itself, the broker, the databases, the services."""

POISON = "SELECT order_id::text AS order_id FROM dead_letters WHERE error_class = 'Poison' ORDER BY id DESC LIMIT 1"
"""The demo's own: it names an order that nobody placed."""

pytestmark = pytest.mark.stack("compose")


async def test_the_demo_shows_every_order(
    system: Composed, expected: Expected, all_is_well: Callable[[], Awaitable[None]]
) -> None:
    """`docker compose run --rm demo` places its orders, tells each one's way and ends with status 0."""
    await build(system, "demo")
    told = await asyncio.to_thread(system.project.compose, "run", "--rm", "--no-TTY", "demo")
    overdue = re.search(r"Payment cannot be captured .* ([0-9a-f-]{36})$", told, re.MULTILINE)
    assert overdue, told
    expected.endings[overdue[1]] = Ending.OVERDUE
    poison = await ask(system.wiring.databases["operations"], POISON)
    expected.parked |= {Parked("payment.order.created", row["order_id"], "Poison") for row in poison[0]}
    assert "10 of 10 orders ended as they should." in told
    assert "payment.order.created: no order.created.v1" in told
    await all_is_well()


async def test_the_load_is_started_from_its_page(
    system: Composed, composed_stack: ComposedStack, all_is_well: Callable[[], Awaitable[None]]
) -> None:
    """The page is there; a run that is started with it follows orders to their end, and nothing fails."""
    await build(system, "load")
    with ExitStack() as stack:
        stack.callback(system.project.compose, "rm", "--stop", "--force", "load")
        await asyncio.to_thread(system.project.up, "--no-deps", "keys", "load")
        page = f"http://127.0.0.1:{composed_stack.port('LOCUST_PORT')}"
        async with httpx2.AsyncClient(base_url=page, timeout=15) as http:
            assert "Locust" in (await http.get("/")).raise_for_status().text
            (await http.post("/swarm", data={"user_count": "4", "spawn_rate": "4"})).raise_for_status()

            async def flows() -> dict[str, Any] | None:
                seen = (await http.get("/stats/requests")).raise_for_status().json()["stats"]
                return next(
                    (each for each in seen if each["name"] == "order to final" and each["num_requests"] > 9), None
                )

            followed = await until(flows, 60)
            failing = (await http.get("/stats/requests")).json()["fail_ratio"]
            (await http.post("/stop")).raise_for_status()
    assert (followed["num_failures"], failing) == (0, 0)
    await all_is_well()


async def test_metrics_reach_the_fake_cloudwatch(system: Composed, composed_stack: ComposedStack) -> None:
    """The control room's monitor sends what it sees: the fake knows numbers of each kind, and that payment is up."""
    await build(system, "cloudwatch")
    with ExitStack() as stack:
        stack.callback(system.project.compose, "rm", "--stop", "--force", "operations_aws", "cloudwatch")
        await asyncio.to_thread(system.project.up, "--no-deps", "cloudwatch", "operations_aws")
        session = cast("Any", aioboto3).Session("fake", "fake", region_name="eu-central-1")
        address = f"http://127.0.0.1:{composed_stack.port('CLOUDWATCH_PORT')}"
        async with session.client("cloudwatch", endpoint_url=address) as client:

            async def all_there() -> bool:
                pages = client.get_paginator("list_metrics").paginate(Namespace="Orders")
                return {metric["MetricName"] async for page in pages for metric in page["Metrics"]} >= METRICS

            await until(all_there, 60)
            now = datetime.now(UTC)
            up = await client.get_metric_statistics(
                Namespace="Orders",
                MetricName="ServiceUp",
                Statistics=["Minimum"],
                Period=600,
                Dimensions=[{"Name": "Service", "Value": "payment"}],
                StartTime=now - timedelta(minutes=10),
                EndTime=now,
            )
        [command] = [block.text for block in PAGE.blocks("sh") if "list_metrics" in block.text]
        shown = await asyncio.to_thread(system.project.shell, command)
    assert [point["Minimum"] for point in up["Datapoints"]] == [1.0]
    assert "ServiceUp payment" in shown, "the page's own command shows them, too"


async def build(system: Composed, service: str) -> None:
    """Build an image that `up` without a profile has no need of."""
    await asyncio.to_thread(system.project.compose, "--profile", "*", "build", service)
