"""`./run load` against the running system."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.load.run import LoadRun, Plan
from benchmarks.load.shapes import ShapeName
from devstack.endpoints import Endpoints
from tests.e2e.conftest import Expected
from tests.e2e.system import System
from tests.invariants.expectations import Ending

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


async def test_customers_come_and_every_order_is_accounted_for(
    system: System, expected: Expected, all_is_well: Callable[[], Awaitable[None]], tmp_path: Path
) -> None:
    """Five seconds of Locust's customers: orders are accepted, followed and repeated, and nobody has to complain."""
    wiring = system.wiring
    endpoints = Endpoints(
        system.api,
        system.control_room,
        wiring.amqp_url,
        system.management_url,
        dict(wiring.databases),
        dict(wiring.api_keys),
    )
    run = LoadRun(endpoints, Plan(ShapeName.STEADY, users=4, seconds=5, seed=1), tmp_path, Console(file=io.StringIO()))
    outcome = await asyncio.to_thread(run.run, lambda: None)
    expected.endings |= dict.fromkeys(outcome.accepted, Ending.ANY)
    assert outcome.complaints == []
    assert {"FLOW order to final", "POST /orders, the same again"} <= {each.name for each in outcome.requests}
    assert "Locust" in run.report.read_text()
    await all_is_well()
