"""Dead letters are replayed under load while the control room is killed again and again: each effect exactly once."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aio_pika
import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr

import payment.app
from contracts import OrderCreated
from devstack.servers import RabbitServer
from messaging.asyncapi.reading import read_topology
from messaging.database import Database
from messaging.declare import apply
from messaging.envelope import ERROR_CLASS, ERROR_REASON, LAST_FAILURE
from messaging.settings import ServiceSettings
from messaging.topology import DEAD
from payment.settings import Settings as PaymentSettings
from rest import keys
from rest.callers import Scope
from tests.broker import processes
from tests.broker.probe import body, options
from tests.broker.processes import ServiceProcess
from tests.broker.rabbit import Broker, consuming, one, until, virtual_host

TIERS = ("50ms", "100ms")
QUEUE = "payment.order.created"
KILLS = (
    "group.commit.after:2",  # a batch is in custody, and not acknowledged
    "message.ack.before:7",
    "replay.publish.after:9",  # sent, and nothing notes it
    "group.commit.before:6",  # a receipt, or a note of what was sent
)
MORE_KILLS = (*KILLS, "message.ack.after:30", "replay.publish.before:5", "replay.publish.after:40")
LOAD = 20
"""New orders for each dead letter in a hundred: payment has other work meanwhile."""


@dataclass
class Scene:
    """Payment at work, and a control room that can be killed."""

    broker: Broker
    payments: Database
    room: Database
    token: str
    control_room: ServiceProcess | None = None

    async def open(self, crash_at: str = "") -> ServiceProcess:
        """Start the control room, which dies at that point."""
        settings = ServiceSettings(
            amqp_url=SecretStr(self.broker.url), database_url=SecretStr(self.room.url), retry_tiers=TIERS
        )
        environment = {"OPERATIONS_REPLAY_LEASE": "1", "OPERATIONS_REPLAY_INTERVAL": "0.05", "CRASH_AT": crash_at}
        self.control_room = await processes.start("operations", settings, **environment)
        return self.control_room

    async def ask(self, method: str, path: str, **request: Any) -> Any:
        """Ask the control room that is open."""
        assert self.control_room is not None
        key = {"Authorization": f"Bearer {self.token}"}
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.control_room.port}", headers=key) as http:
            answer = await http.request(method, path, **request)
        assert answer.is_success, answer.text
        return answer.json()


@pytest_asyncio.fixture
async def scene(
    rabbitmq_server: RabbitServer,
    service_database: Callable[[str], Awaitable[Database]],
) -> AsyncGenerator[Scene]:
    """Run payment in this process, on a virtual host with everything that is documented."""
    url = await virtual_host(rabbitmq_server)
    await apply(read_topology().with_tiers(TIERS), url)
    payments, room = await service_database("payment"), await service_database("operations")
    cashier = payment.app.build(
        PaymentSettings(amqp_url=SecretStr(url), database_url=SecretStr(payments.url), retry_tiers=TIERS)
    )
    token = await keys.create(room, "an-operator", {Scope.OPERATIONS})
    async with await aio_pika.connect(url) as connection, consuming(cashier):
        yield Scene(Broker(url, await connection.channel()), payments, room, token)


@pytest.mark.parametrize(
    ("count", "kills"),
    [
        pytest.param(100, KILLS, id="100"),
        pytest.param(1_000, MORE_KILLS, id="1000", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
async def test_each_effect_happens_once(scene: Scene, count: int, kills: Sequence[str]) -> None:
    """Whenever the control room dies: nothing parked is lost, every replay is applied once, and its receipt says so."""
    parked = [order() for _ in range(count)]
    await asyncio.gather(*(park(scene.broker, event) for event in parked))
    load = asyncio.create_task(keep_ordering(scene.broker, count * LOAD // 100))
    asked = finished = False
    killed = 0
    for point in (*kills, ""):
        process = await scene.open(point)
        ended = asyncio.create_task(process.process.wait())
        try:
            if not asked:
                asked = await ask_for_all(scene, ended, count)
            done = asyncio.create_task(until(lambda: all_done(scene, count), 60))
            await asyncio.wait({ended, done}, return_when=asyncio.FIRST_COMPLETED)
            finished = done.done()
            done.cancel()
        finally:
            if process.process.returncode is None and finished:
                await process.stop()
        if finished:
            break
        assert await ended == -signal.SIGKILL
        killed += 1
    await load
    assert finished
    assert killed >= len(kills) - 1, f"only {killed} kills happened"
    assert await one(scene.room, "SELECT count(*) FROM dead_letters WHERE state = 'done'") == count
    assert await one(scene.room, "SELECT count(*) FROM replays WHERE outcome = 'applied'") == count
    assert await one(scene.room, "SELECT count(*) FROM replays") == count
    total = count + count * LOAD // 100

    async def handled() -> bool:
        return await one(scene.payments, "SELECT count(*) FROM payments WHERE state = 'authorized'") == total

    await until(handled)
    assert await one(scene.payments, "SELECT count(*) FROM gateway_accounts WHERE status = 'held'") == total
    names = "SELECT count(DISTINCT event_id) FROM outbox WHERE name = 'payment.authorized'"
    assert await one(scene.payments, names) == total
    assert await scene.broker.depth(f"{QUEUE}.dlq") == 0


async def ask_for_all(scene: Scene, ended: asyncio.Task[int], count: int) -> bool:
    """Ask for a replay of everything, once all of it is in custody; False if the control room died before."""

    async def all_there() -> bool:
        return ended.done() or await one(scene.room, "SELECT count(*) FROM dead_letters") == count

    await until(all_there, 60)
    if ended.done():
        return False
    assert scene.control_room is not None
    try:
        await scene.control_room.ready()
        wish = {"selection": {"queue": QUEUE}, "rate": 1_000, "tolerate": 0}
        await scene.ask("POST", "/replays", json=wish)
    except (AssertionError, httpx2.TransportError):
        if not ended.done():
            raise
    return bool(await one(scene.room, "SELECT count(*) FROM replay_runs"))


async def all_done(scene: Scene, count: int) -> bool:
    """Whether the run is through."""
    answered = "SELECT count(*) FROM replays WHERE outcome IS NOT NULL"
    done = await one(scene.room, "SELECT count(*) FROM replay_runs WHERE state = 'done'")
    return bool(done) and await one(scene.room, answered) == count


async def keep_ordering(broker: Broker, count: int) -> None:
    """Publish new orders, a few at a time."""
    for _ in range(0, count, 5):
        await broker.publish(*(order() for _ in range(5)))
        await asyncio.sleep(0.1)


async def park(broker: Broker, event: OrderCreated) -> None:
    """Put an event where payment puts what it cannot handle."""
    noted: dict[str, Any] = {
        ERROR_CLASS: "Bug",
        ERROR_REASON: "a deploy helps",
        LAST_FAILURE: datetime.now(UTC).isoformat(),
    }
    exchange = await broker.channel.get_exchange(DEAD, ensure=False)
    await exchange.publish(aio_pika.Message(body(event), headers=noted, **options(event)), routing_key=QUEUE)


def order() -> OrderCreated:
    """A new order's first event."""
    order_id = uuid4()
    changes = {"order_id": order_id, "event_id": OrderCreated.id_for(order_id)}
    return OrderCreated.example().model_copy(update=changes)
