"""A service that knows several nodes goes on at another one when its own refuses, freezes, or cannot help.

The nodes are proxies in front of one server. A real cluster that loses nodes: tests/cluster.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from devstack.ports import any_free_port
from messaging import broker as connections
from messaging.database import Database
from messaging.service import Service
from tests.broker.probe import Probe, orders
from tests.broker.proxy import Proxy, proxy_for
from tests.broker.rabbit import Broker, consuming, one, until
from tests.broker.test_unit_of_work import counted, service_of

QUEUE = "probe.order.created"
OPEN_OK = b"\x00\x0a\x00\x29"
"""Connection.Open-Ok, AMQP's class 10 and method 41: from here on a client asks for channels."""
CONFIRM = b"\x00\x3c\x00\x50"
"""Basic.Ack, class 60 and method 80."""

SOON = 10.0
"""Seconds; heartbeats alone would need 18."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a second for a node, not five or fifteen."""
    monkeypatch.setattr(connections, "ATTEMPT_TIMEOUT", 1.0)
    monkeypatch.setattr(connections, "RESTORE_TIMEOUT", 1.0)


async def test_a_service_finds_the_node_that_answers(broker: Broker, probe_database: Database) -> None:
    """One node refuses, one is frozen: the third is found at the start, and the second when it is the only one."""
    async with proxy_for(broker.url) as first, proxy_for(broker.url) as second:
        second.hush()
        nodes = (f"127.0.0.1:{any_free_port()}", *_at(first, second))
        async with consuming(service_of(Probe(), broker, probe_database, amqp_nodes=nodes)) as service:
            await broker.publish(*orders(10))
            await until(lambda: _counted(broker, probe_database, 10))
            first.hush()
            first.reset()
            second.speak()
            await until(lambda: _consuming(service), SOON)
            await broker.publish(*orders(10, start=11))
            await until(lambda: _counted(broker, probe_database, 20))


async def test_a_node_that_gives_no_channels_is_left(broker: Broker, probe_database: Database) -> None:
    """A node that takes connections, and answers nothing on them, as one without a majority may, holds nobody."""
    sprung: list[Proxy] = []

    def trap(proxy: Proxy) -> Callable[[bytes], bool]:
        def spring(reply: bytes) -> bool:
            if OPEN_OK in reply and not sprung:
                sprung.append(proxy)
                proxy.hush()
            return False

        return spring

    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(proxy_for(broker.url)) for _ in range(2)]
        nodes = _at(*proxies)
        async with consuming(service_of(Probe(), broker, probe_database, amqp_nodes=nodes)) as service:
            for proxy in proxies:
                proxy.before_reply = trap(proxy)
                proxy.reset()
            await until(lambda: _is_sprung(sprung))
            await until(lambda: _consuming(service), SOON)
            await broker.publish(*orders(10))
            await until(lambda: _counted(broker, probe_database, 10))


async def test_a_node_that_does_not_confirm_is_left(broker: Broker, probe_database: Database) -> None:
    """A publish without an answer ends its connection, long before heartbeats would; the event is sent by the next."""

    def deaf_from_now_on(proxy: Proxy) -> Callable[[bytes], bool]:
        def listen(reply: bytes) -> bool:
            if CONFIRM in reply:
                proxy.hush()
            return False

        return listen

    async with proxy_for(broker.url) as first, proxy_for(broker.url) as second, AsyncExitStack() as running:

        async def start() -> bool:
            service = service_of(Probe(), broker, probe_database, amqp_nodes=_at(first, second), publish_timeout=1)
            try:
                await running.enter_async_context(consuming(service))
            finally:
                apart = first.connections == second.connections == 1
                if not apart:
                    await running.aclose()
            return apart

        await until(start)
        for proxy in (first, second):  # the one by which it publishes is to fall silent
            proxy.before_reply = deaf_from_now_on(proxy)
        await broker.publish(*orders(1))
        await until(lambda: _silent(first, second), SOON)
        for proxy in (first, second):
            proxy.before_reply = None
        await broker.publish(*orders(10, start=2))
        await until(lambda: _counted(broker, probe_database, 11), SOON)
        await until(lambda: _all_sent(probe_database), SOON)


async def test_connections_spread_over_the_nodes(broker: Broker, probe_database: Database) -> None:
    """Of a few services, each with an order of its own, some begin at one node and some at the other."""
    async with proxy_for(broker.url) as first, proxy_for(broker.url) as second, AsyncExitStack() as running:

        async def start() -> bool:
            service = service_of(Probe(), broker, probe_database, amqp_nodes=_at(first, second))
            await running.enter_async_context(consuming(service))
            return bool(first.connections and second.connections)

        await until(start)


def _at(*proxies: Proxy) -> tuple[str, ...]:
    return tuple(f"127.0.0.1:{proxy.listening}" for proxy in proxies)


async def _consuming(service: Service) -> bool:
    return not await service.health.problems()


async def _is_sprung(sprung: list[Proxy]) -> bool:
    await asyncio.sleep(0)
    return bool(sprung)


async def _counted(broker: Broker, database: Database, count: int) -> bool:
    return await counted(database) == (count, count) and await broker.depth(QUEUE) == 0


async def _silent(*proxies: Proxy) -> bool:
    return any(proxy.hushed for proxy in proxies)


async def _all_sent(database: Database) -> bool:
    return await one(database, "SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0
