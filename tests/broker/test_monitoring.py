"""Monitoring on a real broker: what it sees, whom it never disturbs, and what the runbooks' checks show."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from devstack.paths import CHECKOUT
from devstack.ports import any_free_port
from devstack.servers import PostgresServer, RabbitServer
from devstack.services import SERVICES
from messaging.database import Database
from messaging.declare import apply
from messaging.management import ManagementUnavailable, virtual_host
from messaging.settings import ServiceSettings
from messaging.topology import DEAD, REQUEUE, dead_letter_queue, retry_tier, topology
from operations.cloudwatch import CloudWatch, CloudWatchSettings
from operations.monitoring import metrics
from operations.monitoring.alarms import KINDS, ORDERS_DATABASE, Alarm, alarms_of, sources_of
from operations.monitoring.broker import Broker
from operations.monitoring.collector import Collector
from operations.monitoring.described import Described, read_description
from operations.monitoring.liveness import Liveness
from operations.monitoring.metrics import METRICS, Metric, Sample
from operations.monitoring.office import ControlRoom
from operations.monitoring.tables import Orders, Outbox
from tests.broker import rabbit
from tests.broker.planted import CUT_OFF, DEEP, Planted, not_ready, planted
from tests.broker.probe import Probe, orders
from tests.broker.proxy import proxy_for
from tests.broker.rabbit import consuming, one, until
from tests.docs.markdown import Page
from tests.e2e.system import running

SYSTEM = read_description(CHECKOUT / "asyncapi/asyncapi.json")
WORK = "probe.order.created"
TIER = retry_tier("50ms")

MakeDatabase = Callable[[str], Awaitable[Database]]


def of_probe(url: str, server: RabbitServer) -> Broker:
    """The source for the probe's virtual host."""
    described = Described(topology([WORK], ["50ms", "100ms", "200ms"]), {WORK: 200}, ("probe",), frozenset())
    return Broker(described, server.management_url, virtual_host(url))


def seen(samples: Sequence[Sample], metric: Metric, of: str | None = None) -> float:
    """One value."""
    [found] = [each for each in samples if each.metric == metric and each.of == of]
    return found.value


async def look_until(broker: Broker, holds: Callable[[Sequence[Sample]], bool]) -> Sequence[Sample]:
    """Look until that is seen: the management API's numbers are some seconds old."""

    async def look() -> Sequence[Sample] | None:
        samples = await broker.read()
        return samples if holds(samples) else None

    found = await until(look)
    assert found
    return found


@pytest.mark.broker
async def test_a_queue_is_seen_as_it_is(broker: rabbit.Broker, rabbitmq_server: RabbitServer) -> None:
    """Ready, held by a consumer, all; consumers, dead letters, rates; and the age of what stays."""
    source = of_probe(broker.url, rabbitmq_server)
    await broker.publish(*orders(5))
    await look_until(source, lambda samples: seen(samples, metrics.QUEUE_READY, WORK) == 5)
    await broker.channel.set_qos(prefetch_count=2)
    queue = await broker.channel.get_queue(WORK, ensure=False)
    held: list[Any] = []

    async def hold(message: Any) -> None:
        held.append(message)

    await queue.consume(hold)
    samples = await look_until(source, lambda samples: seen(samples, metrics.QUEUE_UNACKNOWLEDGED, WORK) == 2)
    assert seen(samples, metrics.QUEUE_READY, WORK) == 3
    assert seen(samples, metrics.QUEUE_MESSAGES, WORK) == 5
    assert seen(samples, metrics.QUEUE_UNACCOUNTED, WORK) == 0
    assert seen(samples, metrics.QUEUE_MESSAGES, dead_letter_queue(WORK)) == 0
    samples = await look_until(source, lambda samples: seen(samples, metrics.QUEUE_CONSUMERS, WORK) == 1)
    assert seen(samples, metrics.QUEUE_OLDEST_AGE, WORK) > 0
    assert seen(samples, metrics.SERVICE_REPLICAS, "probe") == 1
    assert seen(samples, metrics.TOPOLOGY_DRIFT) == 0

    async def all_done() -> bool:
        while held:
            await held.pop().ack()
        return seen(await source.read(), metrics.QUEUE_MESSAGES, WORK) == 0

    await until(all_done)
    samples = await look_until(source, lambda samples: seen(samples, metrics.QUEUE_OLDEST_AGE, WORK) == 0)
    assert seen(samples, metrics.QUEUE_MESSAGES, WORK) == 0


@pytest.mark.broker
async def test_a_retry_tier_has_no_age_after_it_gave_back(broker: rabbit.Broker, rabbitmq_server: RabbitServer) -> None:
    """What expired has left: the counters of a tier do not make it look ever older."""
    source = of_probe(broker.url, rabbitmq_server)
    await source.read()
    exchange = await broker.channel.get_exchange(TIER, ensure=False)
    for _ in range(3):
        await exchange.publish(aio_pika.Message(b"{}", delivery_mode=2), routing_key=WORK)
        await look_until(source, lambda samples: seen(samples, metrics.QUEUE_MESSAGES, TIER) == 0)
    samples = await look_until(source, lambda samples: seen(samples, metrics.QUEUE_READY, WORK) == 3)
    assert seen(samples, metrics.QUEUE_OLDEST_AGE, TIER) == 0


@pytest.mark.broker
async def test_messages_that_the_broker_cannot_hand_on_are_seen(
    broker: rabbit.Broker, rabbitmq_server: RabbitServer
) -> None:
    """A binding of the way back is missing: what expired is neither ready nor delivered, and there all the same."""
    source = of_probe(broker.url, rabbitmq_server)
    await (await broker.channel.get_queue(WORK, ensure=False)).unbind(REQUEUE, WORK)
    exchange = await broker.channel.get_exchange(TIER, ensure=False)
    await exchange.publish(aio_pika.Message(b"{}", delivery_mode=2), routing_key=WORK)
    samples = await look_until(source, lambda samples: seen(samples, metrics.QUEUE_UNACCOUNTED, TIER) == 1)
    assert seen(samples, metrics.TOPOLOGY_DRIFT) == 1
    await (await broker.channel.get_queue(WORK, ensure=False)).bind(REQUEUE, WORK)
    assert seen(await source.read(), metrics.TOPOLOGY_DRIFT) == 0


def missing(alarms: Sequence[Alarm], samples: Sequence[Sample]) -> set[str]:
    """The alarms that nothing is emitted for."""
    emitted = {(each.metric, each.of) for each in samples}
    return {alarm.name for alarm in alarms if (alarm.metric, alarm.of) not in emitted}


@pytest.mark.broker
async def test_another_node_is_asked(rabbitmq_server: RabbitServer) -> None:
    """When a node of a cluster does not answer, the next reading is from the next one."""
    url = await rabbit.virtual_host(rabbitmq_server)
    await apply(topology([WORK], ["50ms"]), url)
    described = Described(topology([WORK], ["50ms"]), {WORK: 200}, ("probe",), frozenset())
    nodes = [f"127.0.0.1:{port}" for port in (any_free_port(), rabbitmq_server.management_port)]
    broker = Broker(described, rabbitmq_server.management_url, virtual_host(url), nodes)
    with pytest.raises(ManagementUnavailable):
        await broker.read()
    assert seen(await broker.read(), metrics.TOPOLOGY_DRIFT) == 0


@pytest.mark.broker
async def test_every_alarm_is_about_something_that_is_emitted(
    rabbitmq_server: RabbitServer, service_database: MakeDatabase
) -> None:
    """All sources together emit every metric, and one sample for every alarm; an alarm on anything else is found."""
    url = await rabbit.virtual_host(rabbitmq_server)
    await apply(SYSTEM.topology, url)
    databases = {service: await service_database(service) for service in SERVICES}
    async with databases[ORDERS_DATABASE].engine.begin() as db:
        for statement in ORDER:
            await db.exec_driver_sql(statement)
    with not_ready() as address:
        sources = [
            Broker(SYSTEM, rabbitmq_server.management_url, virtual_host(url)),
            Liveness(dict.fromkeys(SERVICES, address)),
            *(Outbox(name, database) for name, database in databases.items()),
            Orders(databases[ORDERS_DATABASE], SYSTEM.causes),
            ControlRoom(databases["operations"], SYSTEM.services),
        ]
        snapshot = await Collector(sources, 1.0).look()
    alarms = alarms_of(SYSTEM)
    assert {source.name for source in sources} == set(sources_of(SYSTEM))
    assert missing(alarms, snapshot.samples) == set()
    assert {each.metric for each in snapshot.samples} == set(METRICS) - {metrics.METRICS_DROPPED}
    misspelt = Alarm(alarms[0].kind, metrics.QUEUE_READY, alarms[0].bound, "payment.order.create")
    assert missing([misspelt], snapshot.samples) == {misspelt.name}


ORDER = (
    """
    INSERT INTO orders (order_id, state, client_id, customer_id, currency, total, items, created_at, updated_at,
        redrives) VALUES (gen_random_uuid(), 'ready', 's', 'c', 'EUR', 1, '[]', now() - interval '1 min', now(), 0)
    """,
    """
    INSERT INTO facts (order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_after)
    SELECT order_id, name, gen_random_uuid(), now(), now(), '{}', 'test', 'ready'
    FROM orders, unnest(ARRAY['inventory.reserved', 'shipping.ready']) AS name
    """,
)


@pytest.mark.broker
async def test_a_black_hole_at_aws_disturbs_nobody(
    broker: rabbit.Broker, rabbitmq_server: RabbitServer, probe_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process with a service under load: every message is handled, snapshots go on, the buffer is bounded."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    settings = ServiceSettings.model_validate({"amqp_url": broker.url, "database_url": probe_database.url})
    service, snapshots = Probe().build(settings), asyncio.Semaphore(0)
    async with proxy_for("http://127.0.0.1:9") as silent:
        silent.hush()
        address = silent.url("http://127.0.0.1:9")
        aws = CloudWatchSettings(region="eu-central-1", endpoint_url=address, timeout=0.2, buffer=100)
        cloudwatch = CloudWatch(aws, lambda _: 0.0)
        source = of_probe(broker.url, rabbitmq_server)
        collector = Collector([source], 0.05, [cloudwatch.take, lambda _: snapshots.release()])
        service.worker("monitoring", collector.watch)
        service.worker("cloudwatch", cloudwatch.watch)
        async with consuming(service):
            for start in range(1, 1_001, 100):
                await broker.publish(*orders(100, start))

            async def all_applied() -> bool:
                return await one(probe_database, "SELECT count(*) FROM inbox") == 1_000

            await until(all_applied)
            async with asyncio.timeout(20):
                for _ in range(20):
                    await snapshots.acquire()
    assert await one(probe_database, "SELECT sum(count) FROM tallies") == 1_000
    assert cloudwatch.dropped > 0
    assert cloudwatch.waiting <= 200


PAGES = {kind.name: Page(CHECKOUT / "docs/runbooks" / f"{kind.name}.md") for kind in KINDS}
SHOWN_AT_ONE_LOOK = {
    "queue-deep",
    "queue-without-consumers",
    "dead-letters-waiting",
    "outbox-stuck",
    "outbox-deep",
    "service-down",
    "service-not-ready",
    "orders-late",
    "latency-high",
    "orders-overdue",
    "orders-redriven",
    "source-unreadable",
}
"""Their trouble is planted, and their check names the alarm itself."""
TOLD = {
    "messages-unaccounted": f"{REQUEUE} -> {CUT_OFF}",
    "unrouted-events": f"{REQUEUE} -> {CUT_OFF}",
    "topology-drift": f"{REQUEUE} -> {CUT_OFF}",
    "audit-violation": "stock_reserved",
    "queue-old": "oldest",
    "retry-tier-full": "Waits for another attempt",
    "retry-tier-stuck": "Waits for another attempt",
    "service-restarts": "restarts",
    "monitoring-silent": "replicas",
    "dead-letters-open": DEEP,
}
"""What the checks of the others show: the trouble, or, where it takes minutes to appear, where it would be seen."""


TAKES_LONG = {"messages-unaccounted"}
"""It waits a while for nothing to differ; with --full."""


def command_of(kind: str) -> str:
    """The check of a runbook page."""
    [block] = PAGES[kind].blocks("sh")
    return block.text.strip()


class Answers:
    """Each command is asked once, however many pages have it."""

    def __init__(self, system: Planted) -> None:
        self._system = system
        self._known: dict[str, str] = {}

    async def to(self, command: str) -> str:
        """What it printed."""
        if command not in self._known:
            self._known[command] = await self._system.answer(command)
        return self._known[command]


@pytest.fixture(scope="module")
def answers(
    rabbitmq_server: RabbitServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Answers]:
    """The commands' answers about a system with planted trouble."""
    with planted(rabbitmq_server, postgres_server, tmp_path_factory.mktemp("planted")) as system:
        yield Answers(system)


def test_every_page_has_an_expectation() -> None:
    """A new kind of alarm needs one here."""
    assert SHOWN_AT_ONE_LOOK | TOLD.keys() == PAGES.keys()


@pytest.mark.broker
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow] if kind in TAKES_LONG else [])
        for kind in sorted(PAGES.keys() - {"dead-letters-open"})
    ],
)
async def test_the_check_of_a_runbook_shows_the_trouble(kind: str, answers: Answers) -> None:
    """The command of the page, run as it is printed there, names the alarm or what is behind it."""
    answer = await answers.to(command_of(kind))
    assert "Traceback" not in answer
    assert (f"! {kind} " if kind in SHOWN_AT_ONE_LOOK else TOLD[kind]) in answer


@pytest.mark.broker
async def test_the_check_of_dead_letters_shows_them(
    rabbitmq_server: RabbitServer, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """With the control room at work: what could not be handled is there, with the number of those alike."""
    async with running(rabbitmq_server, postgres_server, tmp_path, ["order_api", "operations"], {}) as system:
        async with await aio_pika.connect(system.wiring.amqp_url) as connection:
            exchange = await (await connection.channel()).get_exchange(DEAD, ensure=False)
            await exchange.publish(aio_pika.Message(b"{}", delivery_mode=2), routing_key=DEEP)
        endpoints = {
            "api": "http://127.0.0.1:9",
            "control_room": system.wiring.addresses["operations"],
            "amqp": system.wiring.amqp_url,
            "rabbitmq_management": system.management_url,
            "databases": dict(system.wiring.databases),
            "api_keys": dict(system.wiring.api_keys),
        }
        (tmp_path / "endpoints.json").write_text(json.dumps(endpoints))

        async def shown() -> bool:
            return TOLD["dead-letters-open"] in await Planted(tmp_path).answer(command_of("dead-letters-open"))

        await until(shown)
