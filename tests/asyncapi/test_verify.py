"""The document against real brokers: nothing to say of one that is as documented, and each planted drift is named."""

import asyncio
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from rich.console import Console

import payment.app
from devstack.paths import CHECKOUT
from devstack.servers import RabbitServer
from messaging.asyncapi.generate import generate
from messaging.asyncapi.profile import Json
from messaging.asyncapi.reading import topology_of
from messaging.declare import apply
from messaging.management import ManagementUnavailable, read_broker, virtual_host
from messaging.topology import DEAD, EVENTS, REQUEUE, UNROUTED, Topology, dead_letter_queue, retry_tier
from messaging.verify import Drift, report
from tests.asyncapi.live import LiveBroker, Plant, as_documented
from tests.broker import rabbit

WORK = "payment.order.created"
OTHER = "payment.shipping.ready"
TIER = retry_tier("30s")


@pytest_asyncio.fixture
async def live(rabbitmq_server: RabbitServer) -> AsyncGenerator[LiveBroker]:
    """A virtual host as payment's document describes it; payment's consumers are there."""
    async with as_documented(generate([payment.app.service]), rabbitmq_server) as broker:
        yield broker


async def missing_exchange(live: LiveBroker) -> None:
    """An exchange was deleted, and its bindings with it."""
    await live.channel.exchange_delete(DEAD)


async def extra_exchange(live: LiveBroker) -> None:
    """Somebody declared one by hand."""
    await live.exchange("orders.by-hand", "topic")


async def other_type(live: LiveBroker) -> None:
    """An exchange was declared with another type."""
    await live.exchange(TIER, "direct")


async def lost_alternate(live: LiveBroker) -> None:
    """The events' exchange lost its alternate: unrouted events would vanish."""
    await live.exchange(EVENTS, "topic")


async def missing_queue(live: LiveBroker) -> None:
    """A dead-letter queue was deleted."""
    await live.channel.queue_delete(dead_letter_queue(WORK))


async def extra_queue(live: LiveBroker) -> None:
    """Somebody declared one by hand."""
    await live.channel.declare_queue("orders.by-hand", durable=True)


async def other_ttl(live: LiveBroker) -> None:
    """A tier waits for another time."""
    queue = next(queue for queue in live.topology.queues if queue.name == TIER)
    await live.channel.queue_delete(TIER)
    changed: dict[str, Any] = {**queue.arguments, "x-message-ttl": 31_000}
    declared = await live.channel.declare_queue(TIER, durable=True, arguments=changed)
    await declared.bind(TIER, "")


async def lost_argument(live: LiveBroker) -> None:
    """The queue of unrouted events was declared without its delivery limit."""
    await live.channel.queue_delete(UNROUTED)
    declared = await live.channel.declare_queue(UNROUTED, durable=True, arguments={"x-queue-type": "quorum"})
    await declared.bind(UNROUTED, "")


async def missing_binding(live: LiveBroker) -> None:
    """Nothing comes back from the tiers."""
    await (await live.channel.get_queue(WORK)).unbind(REQUEUE, WORK)


async def extra_binding(live: LiveBroker) -> None:
    """A queue receives what its handler does not know."""
    await (await live.channel.get_queue(WORK)).bind(EVENTS, "shipping.#")


async def queue_without_consumer(live: LiveBroker) -> None:
    """Nobody consumes a work queue any more."""
    await live.clean()
    await live.connection.close()


async def consumer_without_handler(live: LiveBroker) -> None:
    """Somebody drains the parked messages."""
    await live.consume(dead_letter_queue(WORK), 1)


async def unlimited_prefetch(live: LiveBroker) -> None:
    """A consumer takes everything at once."""
    await live.consume(WORK, 0)


async def policy(live: LiveBroker) -> None:
    """A policy makes parked messages expire."""
    async with httpx2.AsyncClient() as http:
        definition = {"pattern": r".*\.dlq$", "definition": {"message-ttl": 1000}, "apply-to": "queues"}
        address = f"{live.management_url}/api/policies/{virtual_host(live.url)}/forget"
        (await http.put(address, json=definition)).raise_for_status()


PLANTED: list[tuple[Plant, str]] = [
    (missing_exchange, f"missing exchange {DEAD}"),
    (extra_exchange, "extra exchange orders.by-hand"),
    (other_type, f'different exchange {TIER}: type is "direct", documented is "fanout"'),
    (lost_alternate, f'different exchange {EVENTS}: alternate-exchange is not set, documented is "{UNROUTED}"'),
    (missing_queue, f"missing queue {dead_letter_queue(WORK)}"),
    (extra_queue, "extra queue orders.by-hand"),
    (other_ttl, f"different queue {TIER}: x-message-ttl is 31000, documented is 30000"),
    (lost_argument, f"different queue {UNROUTED}: x-delivery-limit is not set, documented is 1000000000"),
    (missing_binding, f"missing binding {REQUEUE} -> {WORK}: routing key '{WORK}'"),
    (extra_binding, f"extra binding {EVENTS} -> {WORK}: routing key 'shipping.#'"),
    (queue_without_consumer, f"missing consumer {WORK}: nobody consumes this queue"),
    (consumer_without_handler, f"extra consumer {dead_letter_queue(WORK)}: no handler receives from it"),
    (unlimited_prefetch, f"different consumer {WORK}: unlimited prefetch"),
    (policy, f"extra policy {dead_letter_queue(OTHER)}: sets message-ttl to 1000"),
]


@pytest.mark.parametrize(("plant", "expected"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])  # type: ignore[attr-defined]
async def test_a_planted_drift_is_named(live: LiveBroker, plant: Plant, expected: str) -> None:
    """The report says what it is, where it is, and what is documented."""
    await plant(live)
    await live.drifts_when(lambda drifts: any(str(drift).startswith(expected) for drift in drifts))


async def test_the_whole_topology_is_clean_when_it_is_applied(generated: Json, rabbitmq_server: RabbitServer) -> None:
    """Every exchange, queue, binding and consumer of the published document."""
    async with as_documented(generated, rabbitmq_server) as broker:
        await broker.clean()


async def test_an_empty_broker_lacks_everything(live: LiveBroker, rabbitmq_server: RabbitServer) -> None:
    """What is missing is said of each object, once."""
    live.url = await rabbit.virtual_host(rabbitmq_server)
    drifts = await live.drifts()
    wanted: Topology = live.topology
    size = len(wanted.exchanges) + len(wanted.queues) + len(wanted.bindings) + len(live.consumers)
    assert {drift.kind for drift in drifts} == {"missing"}
    assert len(drifts) == len(set(drifts)) == size


async def test_a_management_api_that_refuses_is_no_clean_broker(live: LiveBroker) -> None:
    """It is an error of its own, not an empty report."""
    with pytest.raises(ManagementUnavailable, match="404"):
        await read_broker(live.management_url, "nowhere")
    with pytest.raises(ManagementUnavailable):
        await read_broker("http://127.0.0.1:1", "/")


def test_the_report_is_readable(generated: Json) -> None:
    """A table with a line for each difference; a tick when there is none."""
    console = Console(record=True, width=150, file=io.StringIO())
    drift = Drift("different", "queue", WORK, "x-delivery-limit is 20, documented is 50")
    report([drift], topology_of(generated), console)
    report([], topology_of(generated), console)
    text = console.export_text()
    assert "1 difference from the document" in text
    assert drift.detail in text
    assert "✓" in text


async def _verify(broker: LiveBroker, *options: str) -> tuple[int, str]:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "messaging", "verify", "--json", *options],
        cwd=CHECKOUT,
        env={**os.environ, "AMQP_URL": broker.url, "RABBITMQ_MANAGEMENT_URL": broker.management_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


async def test_the_command_is_a_gate(generated: Json, rabbitmq_server: RabbitServer) -> None:
    """Status 0 when nothing differs, 1 otherwise; ahead of the services nobody is expected to consume.

    It takes its time: consumers that have just come are no drift.
    """
    async with as_documented(generated, rabbitmq_server) as broker:
        assert await _verify(broker) == (0, '{\n  "clean": true,\n  "drifts": []\n}\n')
        await broker.connection.close()
        await broker.drifts_when(bool)
        (status, out), (same_status, gauge) = await asyncio.gather(_verify(broker), _verify(broker, "--gauge"))
        assert status == same_status == 1
        assert {drift["what"] for drift in json.loads(out)["drifts"]} == {"consumer"}
        assert 'orders_topology_drifts{kind="missing",what="queue"} 0\n' in gauge
        assert re.search(r'^orders_topology_drifts\{kind="missing",what="consumer"\} [1-9]\d*$', gauge, re.MULTILINE)
        assert (await _verify(broker, "--before-services"))[0] == 0


async def test_the_command_waits_for_what_is_on_its_way(generated: Json, rabbitmq_server: RabbitServer) -> None:
    """A gate beside the set-up job."""
    async with as_documented(generated, rabbitmq_server) as broker:
        broker.url = await rabbit.virtual_host(rabbitmq_server)
        waiting = asyncio.create_task(_verify(broker, "--before-services", "--wait", "60"))
        await apply(broker.topology, broker.url)
        assert (await waiting)[0] == 0
