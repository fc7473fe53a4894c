"""Asking for an order's cancellation: what is answered, what is said, once."""

import asyncio
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import text
from sqlmodel import col, select

from contracts import CancelReason, OrderCancelRequested, ShippingReady
from messaging.service import Service
from order_api.facts import Facts
from order_api.models import Order
from tests.unit.order_api.orders import deliver, fact, load, said_of

Json = dict[str, Any]

ON_ITS_WAY = [(), ("payment.authorized",), ("payment.authorized", "inventory.reserved"), ("inventory.rejected",)]


async def placed(client: httpx2.AsyncClient, wish: Json) -> UUID:
    """Place an order."""
    return UUID((await client.post("/orders", json=wish)).json()["order_id"])


@pytest.mark.parametrize("facts", ON_ITS_WAY, ids=["pending", "authorized", "reserved", "cancelling"])
async def test_an_order_on_its_way_can_be_cancelled(
    client: httpx2.AsyncClient, service: Service, wish: Json, facts: tuple[str, ...]
) -> None:
    """The request is answered with 202, shows in the order and its timeline, and is said; repeating it says no more."""
    order_id = await placed(client, wish)
    await deliver(service, order_id, *facts)
    before = (await client.get(f"/orders/{order_id}")).json()
    first, second = [await client.post(f"/orders/{order_id}/cancel") for _ in range(2)]
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.headers["location"] == f"/orders/{order_id}"
    assert (
        first.json()
        == second.json()
        == before
        | {
            "cancel_requested": True,
            "updated_at": first.json()["updated_at"],
        }
    )
    assert (await client.get(first.headers["location"])).json() == first.json()
    created, asked = await said_of(service, order_id)
    assert (created.name, asked.name, asked.redrive) == ("order.created", "order.cancel_requested", 0)
    event = OrderCancelRequested.model_validate_json(asked.body)
    assert (event.event_id, event.reason) == (OrderCancelRequested.id_for(order_id), CancelReason.CUSTOMER)
    assert (await load(service, order_id)).cancel_requested == event
    timeline = (await client.get(f"/orders/{order_id}/timeline")).json()["entries"]
    assert [entry["detail"] for entry in timeline if entry["event"] == event.name] == [{"reason": "customer"}]


@pytest.mark.parametrize(
    ("known", "detail"),
    [
        ("shipping.ready", "It was already shipped."),
        ("payment.captured", "It was already shipped."),
        ("payment.declined", "It was rejected; there is nothing to cancel."),
    ],
)
async def test_too_late(client: httpx2.AsyncClient, service: Service, wish: Json, known: str, detail: str) -> None:
    """An order that is ready or rejected is not cancelled; the problem says why, and nothing is said to anybody."""
    order_id = await placed(client, wish)
    await deliver(service, order_id, known)
    answer = await client.post(f"/orders/{order_id}/cancel")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:problem-type:orders:not-cancellable",
        "title": "The order can no longer be cancelled",
        "status": 409,
        "detail": detail,
    }
    assert (await load(service, order_id)).cancel_requested is None
    assert [said.name for said in await said_of(service, order_id)] == ["order.created"]


async def test_a_cancelled_order_is_answered_as_it_is(client: httpx2.AsyncClient, service: Service, wish: Json) -> None:
    """An order that is cancelled, whoever wanted it, is shown with 200, and nothing is said."""
    order_id = await placed(client, wish)
    await deliver(service, order_id, "payment.voided")
    answer = await client.post(f"/orders/{order_id}/cancel")
    assert answer.status_code == 200
    assert answer.json() == (await client.get(f"/orders/{order_id}")).json()
    assert (answer.json()["status"], answer.json()["cancel_requested"]) == ("cancelled", False)
    assert [said.name for said in await said_of(service, order_id)] == ["order.created"]


async def test_a_refused_request_shows(client: httpx2.AsyncClient, service: Service, wish: Json) -> None:
    """If shipping was quicker the order becomes ready; the timeline tells of the request and of its refusal."""
    order_id = await placed(client, wish)
    assert (await client.post(f"/orders/{order_id}/cancel")).status_code == 202
    await deliver(service, order_id, "shipping.cancel_refused", "shipping.ready")
    timeline = (await client.get(f"/orders/{order_id}/timeline")).json()
    assert timeline["status"] == "ready"
    assert [entry["event"] for entry in timeline["entries"]] == [
        "order.created",
        "order.cancel_requested",
        "shipping.cancel_refused",
        "shipping.ready",
    ]
    assert (await client.post(f"/orders/{order_id}/cancel")).status_code == 409


@pytest.mark.parametrize(("order_id", "status"), [("0192f5a0-7b1c-7000-8000-0000000000ff", 404), ("4242", 422)])
async def test_no_such_order(client: httpx2.AsyncClient, order_id: str, status: int) -> None:
    """What is not there cannot be cancelled."""
    assert (await client.post(f"/orders/{order_id}/cancel")).status_code == status


async def test_a_body_is_not_needed_and_not_minded(client: httpx2.AsyncClient, wish: Json) -> None:
    """Whatever a client sends along, the reason is that the customer wants it."""
    order_id = await placed(client, wish)
    answer = await client.post(f"/orders/{order_id}/cancel", json={"reason": "operator"})
    assert answer.status_code == 202


async def test_the_answer_follows_the_locked_row(client: httpx2.AsyncClient, service: Service, wish: Json) -> None:
    """A request that meets a fact which is being stored waits for it, and is answered by what it says."""
    order_id = await placed(client, wish)
    async with service.database.session() as other:
        locked = select(Order).where(col(Order.order_id) == order_id).with_for_update()
        order = (await other.exec(locked)).one()
        asking = asyncio.create_task(client.post(f"/orders/{order_id}/cancel"))
        async with asyncio.timeout(10):
            while not await waiting_for_a_lock(service):
                assert not asking.done()
        await Facts.of(other).read(other, [order_id])
        order.record(fact(ShippingReady.name, order_id), Facts.of(other))
        await other.commit()
    assert (await asking).status_code == 409


async def waiting_for_a_lock(service: Service) -> bool:
    """Whether a transaction in the service's database waits for another."""
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with service.database.engine.connect() as connection:
        return bool((await connection.execute(waits)).scalar_one())


async def test_requests_race_with_facts(client: httpx2.AsyncClient, service: Service, wish: Json) -> None:
    """Whoever is first: what was answered with 202 was said exactly once, what was answered with 409 was not."""
    ids = [await placed(client, wish) for _ in range(10)]
    asking = asyncio.gather(*(client.post(f"/orders/{order_id}/cancel") for order_id in [*ids, *reversed(ids)]))
    await asyncio.gather(*(deliver(service, order_id, "shipping.ready") for order_id in ids))
    answers = await asking
    for number, order_id in enumerate(ids):
        order = await load(service, order_id)
        asked = [said.name for said in await said_of(service, order_id)].count("order.cancel_requested")
        statuses = {answers[number].status_code, answers[-1 - number].status_code}
        assert order.status == "ready"
        assert statuses <= {202, 409}
        assert asked == (order.cancel_requested is not None) == (202 in statuses)
