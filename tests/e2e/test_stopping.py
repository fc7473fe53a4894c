"""The order API ends as soon as it is asked to, also while somebody follows an order live."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from devstack.ports import any_free_port
from devstack.servers import PostgresServer, RabbitServer
from devstack.services import API, Wiring
from tests.broker.rabbit import virtual_host
from tests.e2e.shop import Shop, wish
from tests.e2e.system import System
from tests.invariants.expectations import Ending

pytestmark = pytest.mark.e2e

PROMPT = 5.0
"""Seconds; half of what requests without an end of their own would be given."""


@pytest_asyncio.fixture
async def alone(
    rabbitmq_server: RabbitServer, postgres_server: PostgresServer, tmp_path: Path
) -> AsyncGenerator[System]:
    """The order API without the others: no order of its ever ends."""
    wiring = Wiring(
        amqp_url=await virtual_host(rabbitmq_server),
        databases={API: postgres_server.create_database("stopping")},
        http_ports={API: any_free_port()},
        extra={},
    )
    system = System(wiring, rabbitmq_server.management_url, tmp_path / "logs")
    try:
        await system.prepare([API])
        await system.start([API])
        yield system
    finally:
        system.kill()


async def test_whoever_follows_an_order_is_let_go(alone: System) -> None:
    """SIGTERM ends the stream, without `reached`, and the process, long before its patience with requests is over."""
    process = alone.named(API)
    async with httpx2.AsyncClient(base_url=alone.api, timeout=15, headers=alone.authorization) as http:
        order_id = await Shop(http).place(wish(Ending.READY))
        async with http.stream("GET", f"/orders/{order_id}/events") as answer:
            lines = answer.raise_for_status().aiter_lines()
            while "order.created" not in await anext(lines):
                pass
            process.ask_to_end()
            async with asyncio.timeout(PROMPT):
                rest = [line async for line in lines]
            status = await asyncio.to_thread(process.wait, seconds=PROMPT)
    assert not any("reached" in line for line in rest)
    assert status == -signal.SIGTERM, process.log_end()
