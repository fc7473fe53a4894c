"""The REST application on a real database."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from faststream.rabbit import TestRabbitBroker
from sqlalchemy import func
from sqlmodel import select

from contracts import (
    InventoryReserved,
    InventoryShipped,
    OrderCreated,
    OrderEvent,
    PaymentAuthorized,
    PaymentCaptured,
    ShippingReady,
    StockRecorded,
)
from messaging.outcome import Reject
from messaging.service import Service
from messaging.tables import OUTBOX
from messaging.testing import envelope
from order_api.app import build, create_api
from order_api.models import Order
from order_api.settings import Settings
from rest.callers import new_token
from tests.unit.order_api.conftest import speaking_to

Json = dict[str, Any]
MARKER = "4242424242424242"
"""Stands for a secret in the wrong place: it must never come back."""


def problem(response: httpx2.Response, status: int) -> Json:
    """Return the body of a problem, checked for what every problem must have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["title"]
    assert MARKER not in response.text
    return body


async def test_an_order_and_its_event_are_stored_together(
    client: httpx2.AsyncClient, service: Service, wish: Json
) -> None:
    """A 201 shows the shop's prices, where the order is, and means that its event is in the outbox."""
    response = await client.post("/orders", json=wish)
    assert response.status_code == 201
    order = response.json()
    assert response.headers["location"] == f"/orders/{order['order_id']}"
    assert order | {"order_id": "", "created_at": "", "updated_at": ""} == {
        "order_id": "",
        "status": "pending",
        "settled": False,
        "reason": None,
        "cancel_requested": False,
        "customer_id": "c-42",
        "currency": "EUR",
        "total": 2580,
        "items": [{"sku": "MUG-01", "quantity": 2, "unit_price": 1290}],
        "created_at": "",
        "updated_at": "",
    }
    async with service.database.session() as db:
        body = (await db.exec(select(OUTBOX.c.body))).one()
    event = OrderCreated.model_validate_json(body)
    assert str(event.order_id) == order["order_id"]
    assert event.shipping_address.city == "Berlin"
    assert UUID(order["order_id"]).version == 7
    assert (await client.get(response.headers["location"])).json() == order


async def test_facts_move_the_order(client: httpx2.AsyncClient, service: Service, wish: Json) -> None:
    """Each fact that arrives shows in the status; the timeline begins with the order and tells every one of them."""
    order_id = UUID((await client.post("/orders", json=wish)).json()["order_id"])
    facts: list[type[OrderEvent]] = [
        PaymentAuthorized,
        InventoryReserved,
        ShippingReady,
        InventoryShipped,
        PaymentCaptured,
    ]
    seen: list[tuple[str, bool]] = []
    async with TestRabbitBroker(service.broker) as broker:
        for fact in facts:
            example = fact.example().model_dump(exclude=set(OrderEvent.model_fields))
            event = fact.about(order_id, **fact.example().carried(set(example)))
            for _ in range(2):
                await broker.publish(event, **envelope(event))
            view = (await client.get(f"/orders/{order_id}")).json()
            seen.append((view["status"], view["settled"]))
    assert seen == [
        ("authorized", False),
        ("reserved", False),
        ("ready", False),
        ("ready", False),
        ("ready", True),
    ]
    timeline = (await client.get(f"/orders/{order_id}/timeline")).json()
    assert timeline["settled"] is True
    assert [entry["event"] for entry in timeline["entries"]] == ["order.created", *(fact.name for fact in facts)]
    assert timeline["entries"][3]["detail"] == {"carrier": "simulated", "tracking_number": "SIM0192F5A07B1C"}


async def test_a_fact_of_an_unknown_order_is_rejected(service: Service) -> None:
    """The message of an order that is not here goes to the dead letters."""
    event = PaymentAuthorized.example()
    async with TestRabbitBroker(service.broker) as broker:
        with pytest.raises(Reject):
            await broker.publish(event, **envelope(event))


async def test_stock_shows_with_the_products(client: httpx2.AsyncClient, service: Service) -> None:
    """What inventory books is shown, and an older message that comes later is not."""
    newer, older = StockRecorded.example(), StockRecorded.example()
    older = older.model_copy(
        update={"event_id": uuid4(), "occurred_at": older.occurred_at.replace(year=2020), "available": 1}
    )
    async with TestRabbitBroker(service.broker) as broker:
        for event in (newer, older):
            await broker.publish(event, **envelope(event))
    products = (await client.get("/products")).json()
    assert {"sku": "MUG-01", "name": "Mug", "price": 1290, "currency": "EUR", "available": 120} in products
    assert {"sku": "BENTO-01", "name": "Bento box", "price": 3200, "currency": "JPY", "available": None} in products


async def test_concurrent_orders_are_all_stored(client: httpx2.AsyncClient, service: Service, wish: Json) -> None:
    """Orders that share transactions each get their own row."""
    responses = await asyncio.gather(*(client.post("/orders", json=wish) for _ in range(50)))
    assert {response.status_code for response in responses} == {201}
    async with service.database.session() as db:
        stored = (await db.exec(select(func.count()).select_from(Order))).one()
    assert stored == len({response.json()["order_id"] for response in responses}) == 50


async def test_lines_of_one_product_are_added_up(client: httpx2.AsyncClient, wish: Json) -> None:
    """Two lines of mugs are one line of mugs."""
    wish["items"] = [
        {"sku": "MUG-01", "quantity": 2},
        {"sku": "PEN-01", "quantity": 1},
        {"sku": "MUG-01", "quantity": 3},
    ]
    order = (await client.post("/orders", json=wish)).json()
    assert order["total"] == 5 * 1290 + 390
    assert [(item["sku"], item["quantity"]) for item in order["items"]] == [("MUG-01", 5), ("PEN-01", 1)]


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"items": [{"sku": "NIL-01", "quantity": 1}]}, "#/items/0/sku", "unknown-sku"),
        ({"currency": "USD"}, "#/items/0/sku", "other-currency"),
        ({"items": [{"sku": "MUG-01", "quantity": 6_000}] * 2}, "#/items/1/quantity", "too-many"),
        ({"items": []}, "#/items", "too_short"),
        ({"items": [{"sku": "MUG-01", "quantity": 1}] * 101}, "#/items", "too_long"),
        ({"items": [{"sku": "MUG-01", "quantity": True}]}, "#/items/0/quantity", "int_type"),
        ({"items": [{"sku": "MUG-01", "quantity": "1"}]}, "#/items/0/quantity", "int_type"),
        ({"items": [{"sku": "MUG-01", "quantity": 1.5}]}, "#/items/0/quantity", "int_type"),
        ({"items": [{"sku": "MUG-01", "quantity": 0}]}, "#/items/0/quantity", "greater_than_equal"),
        ({"items": [{"sku": "MUG-01", "quantity": -1}]}, "#/items/0/quantity", "greater_than_equal"),
        ({"items": [{"sku": "MUG-01", "quantity": 10_001}]}, "#/items/0/quantity", "less_than_equal"),
        ({"items": [{"sku": "MUG-01", "quantity": 10**30}]}, "#/items/0/quantity", "int_type"),
        ({"items": [{"sku": MARKER + "\u0000", "quantity": 1}]}, "#/items/0/sku", "string_pattern_mismatch"),
        ({"items": {"sku": MARKER}}, "#/items", "list_type"),
        ({"items": [MARKER]}, "#/items/0", "model_attributes_type"),
        ({"customer_id": MARKER + "\u0000"}, "#/customer_id", "string_pattern_mismatch"),
        ({"customer_id": MARKER * 10}, "#/customer_id", "string_too_long"),
        ({"customer_id": ""}, "#/customer_id", "string_too_short"),
        ({"customer_id": None}, "#/customer_id", "string_type"),
        ({"customer_id": [MARKER]}, "#/customer_id", "string_type"),
        ({"currency": "eur"}, "#/currency", "string_pattern_mismatch"),
        ({"payment_token": {"number": MARKER}}, "#/payment_token", "string_type"),
        ({"shipping_address": {"name": "Ada"}}, "#/shipping_address/line1", "missing"),
        ({MARKER: MARKER}, "#", "extra_forbidden"),
        ({"\u0000": 1}, "#", "extra_forbidden"),
    ],
)
async def test_bad_fields_are_named_and_not_echoed(
    client: httpx2.AsyncClient, wish: Json, change: Json, pointer: str, code: str
) -> None:
    """A 422 points at the field and says what is wrong, without what was in it."""
    body = problem(await client.post("/orders", json=wish | change), 422)
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in body["errors"]]


@pytest.mark.parametrize(
    "body",
    [
        b'{"customer_id": "4242424242424242"',
        b'{"customer_id": NaN}',
        rb'{"customer_id": "4242424242424242\ud800"}',
        b'{"customer_id": "4242424242424242\xff"}',
        b'{"customer_id": "4242424242424242", "customer_id": "b"}',
        b"[" * 10_000,
    ],
)
async def test_bad_json_is_a_400(client: httpx2.AsyncClient, body: bytes) -> None:
    """What is no strict JSON is refused without being echoed."""
    response = await client.post("/orders", content=body, headers={"content-type": "application/json"})
    assert problem(response, 400)["type"] == "urn:problem-type:orders:malformed-body"


@pytest.mark.parametrize("body", [b"null", b"[]", b"1", b'"4242424242424242"', b"1e999"])
async def test_bodies_of_another_type(client: httpx2.AsyncClient, body: bytes) -> None:
    """JSON that is no object is a client's error, too."""
    response = await client.post("/orders", content=body, headers={"content-type": "application/json"})
    problem(response, 400 if body == b"1e999" else 422)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "nonsense", "a/b/c"])
async def test_another_content_type_is_a_415(client: httpx2.AsyncClient, content_type: str | None) -> None:
    """Only JSON is read."""
    headers = {} if content_type is None else {"content-type": content_type}
    problem(await client.post("/orders", content=b"{}", headers=headers), 415)


async def test_large_bodies_are_a_413(client: httpx2.AsyncClient) -> None:
    """20 MB are refused, announced or not."""
    headers = {"content-type": "application/json"}
    problem(await client.post("/orders", content=b" " * 20_000_000, headers=headers), 413)

    async def stream():  # noqa: ANN202 - a generator of chunks
        for _ in range(200):
            yield b" " * 100_000

    problem(await client.post("/orders", content=stream(), headers=headers), 413)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", f"/orders/{UUID(int=7)}", 404),
        ("GET", f"/orders/{UUID(int=7)}/timeline", 404),
        ("DELETE", "/orders", 405),
        ("PUT", "/products", 405),
        ("GET", f"/orders/{MARKER}", 422),
        ("GET", "/orders/%00", 422),
        ("GET", "/orders/%ff%fe", 422),
        ("GET", "/orders/\u0430", 422),
    ],
)
async def test_other_errors_are_problems(client: httpx2.AsyncClient, method: str, path: str, status: int) -> None:
    """Unknown places, methods and malformed ids are problems like every other."""
    problem(await client.request(method, path), status)


async def test_a_405_says_what_is_allowed(client: httpx2.AsyncClient) -> None:
    """The Allow header survives."""
    assert (await client.delete("/orders")).headers["allow"] == "GET, POST"


async def test_without_a_database_the_answer_is_503() -> None:
    """Every route that needs the database says so, and when to try again."""
    api = create_api(build(Settings()), Settings())
    async with speaking_to(api, new_token()) as client:
        for path in ("/products", f"/orders/{uuid4()}"):
            response = await client.get(path)
            problem(response, 503)
            assert int(response.headers["retry-after"]) > 0


async def test_the_document_describes_errors_as_problems(client: httpx2.AsyncClient) -> None:
    """OpenAPI names each operation, and no error is documented as plain JSON."""
    document = (await client.get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert sorted(operation["operationId"] for operation in operations) == [
        "cancelOrder",
        "followOrder",
        "getAsyncApiJson",
        "getAsyncApiYaml",
        "getOrder",
        "getTimeline",
        "listOrders",
        "listProducts",
        "placeOrder",
        "readAsyncApi",
        "receiveStock",
    ]
    for operation in operations:
        for status, response in operation["responses"].items():
            if status in {"204", "304"} or (operation["tags"] == ["documents"] and status < "400"):
                continue  # no body, or a page or YAML, which are no JSON
            if operation["operationId"] == "followOrder" and status == "200":
                assert list(response["content"]) == ["text/event-stream"]
                continue
            assert list(response["content"]) == [
                "application/json" if status < "400" else "application/problem+json",
            ]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert document["components"]["schemas"]["PlaceOrder"]["examples"]


async def test_health_is_part_of_the_api(client: httpx2.AsyncClient) -> None:
    """The API's own port tells whether it is alive."""
    assert (await client.get("/livez")).status_code == 200
