"""A request that is sent again does nothing again."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.service import Service
from messaging.tables import OUTBOX
from order_api import idempotency
from order_api.idempotency import Key, prune
from order_api.models import Kept, Order, Product
from rest.callers import Scope
from rest.problems import Kind
from tests.statements import statements_of
from tests.unit.order_api.conftest import speaking_as
from tests.unit.order_api.orders import deliver

Json = dict[str, Any]
KEY = {"Idempotency-Key": "7f1c2f0e"}


async def counted(service: Service) -> tuple[int, int]:
    """How many orders and events there are."""
    async with service.database.session() as db:
        orders = (await db.exec(select(func.count()).select_from(Order))).one()
        events = (await db.exec(select(func.count()).select_from(OUTBOX))).one()
    return orders, events


def refused(answer: httpx2.Response, kind: Kind) -> None:
    """Check that it is this problem."""
    assert (answer.status_code, answer.json()["type"]) == (kind.status, kind.type)


async def test_a_repetition_gets_the_first_answer(client: httpx2.AsyncClient, service: Service, wish: Json) -> None:
    """Status, body and Location, marked as a repetition, whatever became of the order since: one order, one event."""
    first = await client.post("/orders", json=wish, headers=KEY)
    await deliver(service, UUID(first.json()["order_id"]), "payment.declined")
    for _ in range(3):
        again = await client.post("/orders", json=wish, headers=KEY)
        assert (again.status_code, again.content, again.headers["location"]) == (
            201,
            first.content,
            first.headers["location"],
        )
        assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert await counted(service) == (1, 1)


async def test_another_request_under_the_key_is_refused(
    client: httpx2.AsyncClient, service: Service, wish: Json
) -> None:
    """422 for another body, and for another operation; the fields' order makes no difference."""
    placed = await client.post("/orders", json=wish, headers=KEY)
    refused(await client.post("/orders", json=wish | {"customer_id": "c-43"}, headers=KEY), Kind.KEY_REUSED)
    refused(await client.post(f"{placed.headers['location']}/cancel", headers=KEY), Kind.KEY_REUSED)
    turned = dict(reversed(wish.items()))
    assert (await client.post("/orders", json=turned, headers=KEY)).content == placed.content
    assert await counted(service) == (1, 1)


async def test_a_key_belongs_to_its_client(client: httpx2.AsyncClient, service: Service, wish: Json) -> None:
    """Two clients may have chosen the same one."""
    mine = await client.post("/orders", json=wish, headers=KEY)
    async with speaking_as(service, Scope.WRITE, client="another") as other:
        theirs = await other.post("/orders", json=wish, headers=KEY)
    assert theirs.status_code == 201
    assert theirs.json()["order_id"] != mine.json()["order_id"]


async def test_a_refused_request_leaves_the_key_free(client: httpx2.AsyncClient, wish: Json) -> None:
    """What was not valid is not remembered: the mended request is placed under the same key."""
    unknown = wish | {"items": [{"sku": "NO-SUCH", "quantity": 1}]}
    assert (await client.post("/orders", json=unknown, headers=KEY)).status_code == 422
    assert (await client.post("/orders", json=wish | {"currency": 7}, headers=KEY)).status_code == 422
    assert (await client.post("/orders", json=wish, headers=KEY)).status_code == 201


async def test_a_repetition_is_answered_though_the_shop_has_changed(
    client: httpx2.AsyncClient, service: Service, wish: Json
) -> None:
    """The product is no longer sold; the order that was placed is told of all the same."""
    first = await client.post("/orders", json=wish, headers=KEY)
    async with service.database.session() as db, db.begin():
        await db.exec(update(Product).where(col(Product.sku) == "MUG-01").values(currency="USD"))
    async with speaking_as(service, Scope.WRITE) as fresh:  # its application has read the new catalogue
        assert (await fresh.post("/orders", json=wish, headers=KEY)).content == first.content
        assert (await fresh.post("/orders", json=wish)).status_code == 422


async def test_many_at_once_make_one_order(client: httpx2.AsyncClient, service: Service, wish: Json) -> None:
    """Of twenty repetitions at the same moment one is worked on; the others get 409, or its answer."""
    async with speaking_as(service, Scope.WRITE) as replica:
        answers = await asyncio.gather(
            *((client, replica)[number % 2].post("/orders", json=wish, headers=KEY) for number in range(20))
        )
    assert {answer.status_code for answer in answers} <= {201, 409}
    placed = {answer.content for answer in answers if answer.status_code == 201}
    assert len(placed) == 1
    for answer in answers:
        if answer.status_code == 409:
            refused(answer, Kind.REQUEST_IN_FLIGHT)
            assert answer.headers["retry-after"] == "1"
    assert await counted(service) == (1, 1)


async def test_a_key_in_flight_in_another_process_is_a_409(
    client: httpx2.AsyncClient, service: Service, wish: Json
) -> None:
    """Its group of orders does not wait for the other process."""
    key = Key("storefront", KEY["Idempotency-Key"], b"")
    async with service.database.session() as db, db.begin():
        await db.exec(select(func.pg_advisory_xact_lock(key.lock)))
        refused(await client.post("/orders", json=wish, headers=KEY), Kind.REQUEST_IN_FLIGHT)
    assert (await client.post("/orders", json=wish, headers=KEY)).status_code == 201


async def test_an_answer_that_came_between_look_and_lock_is_found(
    client: httpx2.AsyncClient, service: Service, wish: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look saw nothing, the answer was stored meanwhile: the database refuses, and the second look finds it."""
    async with speaking_as(service, Scope.WRITE) as other:
        first = await other.post("/orders", json=wish, headers=KEY)
    look, looks = idempotency.earlier, 0

    async def blind_at_first(*given: Any) -> Any:
        nonlocal looks
        looks += 1
        return None if looks == 1 else await look(*given)

    monkeypatch.setattr(idempotency, "earlier", blind_at_first)
    assert (await client.post("/orders", json=wish, headers=KEY)).content == first.content
    assert looks > 1
    assert await counted(service) == (1, 1)


async def test_requests_that_share_a_transaction_are_looked_up_together(
    client: httpx2.AsyncClient, service: Service, wish: Json
) -> None:
    """New ones, repeated ones and misused keys beside each other: each gets its own answer, for few statements."""
    for number in range(3):
        await client.post("/orders", json=wish, headers={"Idempotency-Key": f"old-{number}"})
    names, asked = (
        [f"{age}-{number}" for age in ("old", "new") for number in range(20)],
        statements_of(service.database),
    )
    other = wish | {"customer_id": "c-43"}
    answers = await asyncio.gather(
        *(
            client.post("/orders", json=other if name == "old-2" else wish, headers={"Idempotency-Key": name})
            for name in names
        )
    )
    told = dict(zip(names, answers, strict=True))
    refused(told["old-2"], Kind.KEY_REUSED)
    assert {name for name, answer in told.items() if "idempotent-replayed" in answer.headers} == {"old-0", "old-1"}
    assert {answer.status_code for name, answer in told.items() if name != "old-2"} == {201}
    assert await counted(service) == (40, 40)
    assert sum("pg_try_advisory_xact_lock" in statement for statement in asked) < len(names) / 2


async def test_answers_are_forgotten_in_time_and_orders_never_doubled(
    client: httpx2.AsyncClient, service: Service, wish: Json
) -> None:
    """A repetition that comes after the answer was pruned is told so: the key fixes the order's id."""
    order_id = (await client.post("/orders", json=wish, headers=KEY)).json()["order_id"]
    assert await prune(service.execute, timedelta(hours=24)) == 0
    assert await prune(service.execute, timedelta(0)) == 1
    again = await client.post("/orders", json=wish, headers=KEY)
    refused(again, Kind.ANSWER_NOT_KEPT)
    assert order_id in again.text
    assert await counted(service) == (1, 1)


async def test_pruning_goes_in_batches(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small transactions, until nothing is left."""
    monkeypatch.setattr(idempotency, "PRUNE_BATCH", 2)

    async def store(db: AsyncSession) -> Sequence[Any]:
        for number in range(5):
            db.add(Kept(client_id="c", key=str(number), fingerprint=b"", answer={}, created_at=datetime.now(UTC)))
        return ()

    await service.execute(store)
    assert await prune(service.execute, timedelta(0)) == 5
    async with service.database.session() as db:
        assert (await db.exec(select(func.count()).select_from(Kept))).one() == 0


async def test_a_cancellation_is_repeated_with_its_first_answer(
    client: httpx2.AsyncClient, service: Service, wish: Json
) -> None:
    """202 stays 202 when the order has been cancelled since; without a key the answer is today's."""
    location = (await client.post("/orders", json=wish)).headers["location"]
    first = await client.post(f"{location}/cancel", headers=KEY)
    await deliver(service, UUID(location.rpartition("/")[2]), "payment.voided")
    again = await client.post(f"{location}/cancel", headers=KEY)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.content == first.content
    assert (await client.post(f"{location}/cancel")).status_code == 200
    other = (await client.post("/orders", json=wish)).headers["location"]
    refused(await client.post(f"{other}/cancel", headers=KEY), Kind.KEY_REUSED)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "é"], ids=["empty", "long", "tab", "not ascii"])
async def test_a_key_that_is_none_is_a_422(client: httpx2.AsyncClient, wish: Json, key: str) -> None:
    """The header is named, its value is not repeated."""
    answer = await client.post("/orders", json=wish, headers={b"Idempotency-Key": key.encode()})
    refused(answer, Kind.INVALID_REQUEST)
    assert answer.json()["errors"][0]["parameter"] == "Idempotency-Key"
