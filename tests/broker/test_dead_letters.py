"""Dead letters on real servers: taken into custody whatever they are, sent again, and answered with a receipt."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aio_pika
import httpx2
import pytest_asyncio
from pydantic import SecretStr
from sqlmodel import select

import operations.app
import payment.app
from contracts import OrderCreated
from devstack.servers import RabbitServer
from messaging.asyncapi.reading import read_topology
from messaging.declare import apply
from messaging.envelope import ERROR_CLASS, ERROR_REASON, FIRST_FAILURE, LAST_FAILURE
from messaging.service import Service
from messaging.topology import DEAD, UNROUTED, dead_letter_queue
from operations.settings import Settings
from payment.models import Payment
from payment.settings import Settings as PaymentSettings
from rest import keys
from rest.callers import Scope
from tests.broker.probe import body, options
from tests.broker.rabbit import Broker, consuming, until, virtual_host

TIERS = ("50ms", "100ms")
QUEUE = "payment.order.created"
Json = dict[str, Any]


@dataclass
class Office:
    """The control room and payment, running, with an operator who speaks to it."""

    broker: Broker
    payment: Service
    http: httpx2.AsyncClient

    async def park(self, message: aio_pika.Message, queue: str = QUEUE) -> None:
        """Put a message where payment puts what it cannot handle."""
        exchange = await self.broker.channel.get_exchange(DEAD, ensure=False)
        await exchange.publish(message, routing_key=queue)

    async def letters(self, count: int, **search: Any) -> list[Json]:
        """The dead letters in custody, once there are that many."""

        async def enough() -> tuple[list[Json]] | None:
            found = (await self.ask("GET", "/dead-letters", params=search))["dead_letters"]
            return (found,) if len(found) == count else None

        return (await until(enough))[0]

    async def replay(self, **wish: Any) -> Json:
        """Replay, and wait until it is through, or stopped."""
        run_id = (await self.ask("POST", "/replays", json=wish))["run_id"]

        async def over() -> Json | None:
            run = await self.ask("GET", f"/replays/{run_id}")
            return run if run["state"] in {"done", "stopped"} else None

        return await until(over)

    async def ask(self, method: str, path: str, **request: Any) -> Any:
        """Ask the control room; every answer is a good one."""
        answer = await self.http.request(method, path, **request)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


@pytest_asyncio.fixture
async def office(
    rabbitmq_server: RabbitServer, clone_database: Callable[[str], Awaitable[str]]
) -> AsyncGenerator[Office]:
    """Run both in this process, on a virtual host with everything that is documented."""
    url = await virtual_host(rabbitmq_server)
    await apply(read_topology().with_tiers(TIERS), url)
    given: dict[str, Any] = {"amqp_url": url, "retry_tiers": TIERS}
    room_database = SecretStr(await clone_database("operations"))
    settings = Settings(**given, database_url=room_database, replay_interval=0.02, editing=True)
    room = operations.app.build(settings)
    api = operations.app.create_api(room, settings)
    its_database = SecretStr(await clone_database("payment"))
    cashier = payment.app.build(PaymentSettings(**given, database_url=its_database))
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(await aio_pika.connect(url))
        channel = await connection.channel()
        await stack.enter_async_context(consuming(cashier))
        await stack.enter_async_context(consuming(room))
        token = await keys.create(room.database, "an-operator", {Scope.OPERATIONS})
        http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(api), base_url="http://test", headers={"Authorization": f"Bearer {token}"}
        )
        await stack.enter_async_context(http)
        yield Office(Broker(url, channel), cashier, http)


def order(**changes: Any) -> OrderCreated:
    """A new order's first event."""
    order_id = uuid4()
    return OrderCreated.example().model_copy(
        update={"order_id": order_id, "event_id": OrderCreated.id_for(order_id), **changes}
    )


def parked(event: OrderCreated, headers: Mapping[str, Any] | None = None) -> aio_pika.Message:
    """The event as a service parks it."""
    now = datetime.now(UTC).isoformat()
    noted = {ERROR_CLASS: "Bug", ERROR_REASON: "a deploy helps", FIRST_FAILURE: now, LAST_FAILURE: now}
    return aio_pika.Message(body(event), headers={**noted, **(headers or {})}, **options(event))


async def test_a_replay_is_applied_once(office: Office) -> None:
    """What failed for a reason that is gone takes effect when it is sent again; a second time it has none."""
    event = order()
    await office.park(parked(event))
    [letter] = await office.letters(1)
    assert letter["message_id"] == str(event.event_id)
    assert (letter["service"], letter["event"], letter["error"]) == ("payment", "order.created", "Bug")
    run = await office.replay(selection={"ids": [letter["id"]]})
    assert (run["state"], run["applied"], run["no_effect"], run["failed"]) == ("done", 1, 0, 0)
    again = await office.replay(selection={"ids": [letter["id"]]})
    assert (again["state"], again["applied"], again["no_effect"], again["failed"]) == ("done", 0, 1, 0)
    async with office.payment.database.session() as db:
        payments = (await db.exec(select(Payment).where(Payment.order_id == event.order_id))).all()
    assert [row.state for row in payments] == ["authorized"]
    assert await office.letters(0) == []
    file = await office.ask("GET", f"/dead-letters/{letter['id']}")
    assert [each["outcome"] for each in file["replays"]] == ["applied", "no-effect"]
    assert file["state"] == "done"


async def test_what_fails_again_is_open_again(office: Office) -> None:
    """A replay that fails tells with what; the dead letter shows both failures, and no copy of it is there."""
    await office.park(aio_pika.Message(b"{}", message_id=str(uuid4()), headers={ERROR_CLASS: "Poison"}))
    [letter] = await office.letters(1)
    run = await office.replay(selection={"all": True})
    assert (run["state"], run["failed"], run["why"]) == ("stopped", 1, "1 of 1 failed again")
    [same] = await office.letters(1)
    file = await office.ask("GET", f"/dead-letters/{same['id']}")
    assert same["id"] == letter["id"]
    assert len(file["failures"]) == 2
    assert file["replays"][0]["outcome"] == "failed"
    assert "event_id: Field required" in file["replays"][0]["detail"]
    assert "event_id: Field required" in file["problem"]


POISON = [
    aio_pika.Message(b""),
    aio_pika.Message(b"\xff\xfe\x00"),
    aio_pika.Message(b'{"a": "\\u0000"}', message_id="x\x00y", headers={"h": bytearray(b"\x00\xff")}),
    aio_pika.Message(b"[" * 100_000),
    aio_pika.Message(b'"' + b"x" * 10_000_000 + b'"'),
    aio_pika.Message(b"{}", headers={"traceparent": 7, "x-attempt": -1, "x-redrive": "?"}),
    aio_pika.Message(b"{}", headers={"x-replay-id": "7", "nested": {"a": [1, None]}}),
    aio_pika.Message(b"{}", correlation_id="no order", timestamp=datetime(2001, 1, 1, tzinfo=UTC)),
]
"""Nothing, no text, NUL, depth, size, headers of wrong types and forms, no order, an old time."""


async def test_poison_is_kept_too(office: Office) -> None:
    """Nothing in a message can keep it from being stored, as it is, once; the queue is empty then."""
    for message in POISON:
        await office.park(message)
    letters = await office.letters(len(POISON))
    assert sorted(letter["size"] for letter in letters) == sorted(len(message.body) for message in POISON)
    for letter in letters:
        assert letter["error"] == "BrokerDeadLettered"
        assert (await office.ask("GET", f"/dead-letters/{letter['id']}"))["problem"]

    async def empty() -> bool:
        return await office.broker.depth(dead_letter_queue(QUEUE)) == 0

    await until(empty)


async def test_a_redelivered_dead_letter_is_the_same_one(office: Office) -> None:
    """The broker delivers at least once: a copy of a failure that is known changes nothing."""
    message = parked(order())
    await office.park(message)
    [letter] = await office.letters(1)
    await office.ask("POST", f"/dead-letters/{letter['id']}/discard", json={"reason": "a test order"})
    await office.park(message)
    await office.park(parked(order()))
    [other] = await office.letters(1)
    assert other["id"] != letter["id"]
    file = await office.ask("GET", f"/dead-letters/{letter['id']}")
    assert (file["state"], len(file["failures"])) == ("discarded", 1)


async def test_an_event_that_nobody_heard_is_sent_to_all_again(office: Office) -> None:
    """What was unrouted goes back to the exchange of all events, once somebody is bound to it."""
    event = order()
    await (await office.broker.channel.get_exchange(UNROUTED, ensure=False)).publish(
        aio_pika.Message(body(event), **options(event)), routing_key=event.name
    )
    [letter] = await office.letters(1)
    assert (letter["queue"], letter["event"], letter["service"]) == (UNROUTED, "order.created", "unrouted")
    run = await office.replay(selection={"queue": UNROUTED})
    assert (run["state"], run["applied"]) == ("done", 1)
    async with office.payment.database.session() as db:
        assert (await db.get_one(Payment, event.order_id)).state == "authorized"


async def test_an_edited_dead_letter_is_a_new_message(office: Office) -> None:
    """What breaks the contract is mended and sent under an id of its own; both versions are kept and audited."""
    event = order()
    said = event.model_dump(mode="json") | {"total": {"amount": -1, "currency": "EUR"}}
    await office.park(aio_pika.Message(httpx2.Response(200, json=said).content, **options(event)))
    [letter] = await office.letters(1)
    wish = {"changes": {"total": {"amount": event.total.amount}}, "reason": "a wrong sign"}
    plan = await office.ask("POST", f"/dead-letters/{letter['id']}/edit", json=wish)

    async def done() -> bool:
        return (await office.ask("GET", f"/replays/{plan['run_id']}"))["applied"] == 1

    await until(done)
    [old], [new] = await office.letters(1, state="edited"), await office.letters(1, state="done")
    file = await office.ask("GET", f"/dead-letters/{new['id']}")
    assert (old["id"], file["replaces"]) == (letter["id"], letter["id"])
    assert file["headers"]["x-causation-id"] == str(event.event_id)
    assert file["message_id"] != str(event.event_id)
    actions = await office.ask("GET", "/actions")
    assert [each["action"] for each in actions] == ["replay", "edit"]
    assert actions[1]["detail"] == {"fields": ["total"], "new": new["id"], "reason": "a wrong sign"}


async def test_many_go_back_in_steps(office: Office) -> None:
    """One first, then ten, then the rest; each is applied once."""
    events = [order() for _ in range(30)]
    await asyncio.gather(*(office.park(parked(event)) for event in events))
    await office.letters(30)
    [group] = await office.ask("GET", "/dead-letters/groups")
    assert (group["count"], group["error"], group["queue"]) == (30, "Bug", QUEUE)
    plan = await office.ask(
        "POST", "/replays", json={"selection": {"fingerprint": group["fingerprint"]}, "dry_run": True}
    )
    assert (plan["steps"], plan["by_queue"], plan["run_id"]) == ([1, 10, 19], {QUEUE: 30}, None)
    run = await office.replay(selection={"fingerprint": group["fingerprint"]}, rate=1_000)
    assert (run["state"], run["applied"], run["step"]) == ("done", 30, 3)
    async with office.payment.database.session() as db:
        assert len((await db.exec(select(Payment))).all()) == 30
