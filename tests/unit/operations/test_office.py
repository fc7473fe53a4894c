"""The dead-letter office: what is found, what is shown, what operators may do, and what is recorded of it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select, update

from contracts import OrderCreated
from messaging import erasure
from messaging.envelope import ERROR_CLASS, ERROR_REASON
from messaging.topology import UNROUTED
from operations import retention
from operations.app import build, create_api
from operations.models import DeadLetter, Model
from operations.routes import ROUTERS
from operations.settings import Settings
from rest import keys
from rest.callers import Scope
from tests.unit.operations.conftest import QUEUE, Room, dead

pytestmark = pytest.mark.database

CARD = "4111111111111111"
SOMEBODY = "00000000-0000-0000-0000-000000000007"


def routes() -> list[tuple[str, str]]:
    """Every request that the control room takes."""
    found = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return [
        (method, re.sub(r"\{\w+\}", SOMEBODY, route.path)) for route in found for method in sorted(route.methods or ())
    ]


async def test_only_operators_get_in(room: Room) -> None:
    """Without a key 401, with a customer's key 403: on every route."""
    shop = await keys.create(room.service.database, "a-storefront", {Scope.READ, Scope.WRITE})
    for method, path in routes():
        for key, status in (("", 401), (f"Bearer {shop}", 403)):
            answer = await room.http.request(method, path, headers={"Authorization": key}, json={"selection": {}})
            assert answer.status_code == status, f"{method} {path}: {answer.text}"
            assert answer.headers["content-type"] == "application/problem+json"


def test_every_route_documents_its_scope() -> None:
    """The OpenAPI document says what a request needs."""
    document = create_api(build(Settings()), Settings()).openapi()
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["security"] == [{"ApiKey": ["operations"]}]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ({}, 3),
        ({"queue": QUEUE}, 2),
        ({"service": "shipping"}, 1),
        ({"event": "inventory.reserved"}, 1),
        ({"order_id": SOMEBODY}, 1),
        ({"error": "Bug"}, 2),
        ({"failed_from": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}, 2),
        ({"failed_before": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}, 1),
        ({"state": "done"}, 0),
        ({"queue": QUEUE, "error": "Poison"}, 0),
    ],
)
async def test_dead_letters_are_found(room: Room, search: dict[str, str], found: int) -> None:
    """By queue, service, event, order, error, time and state; all that is asked for must fit."""
    headers = {ERROR_CLASS: "Poison", ERROR_REASON: "no event"}
    await room.store(
        dead(), dead(order_id=UUID(SOMEBODY), at=86_400), dead("shipping.inventory.reserved", headers=headers)
    )
    page = await room.ask("GET", "/dead-letters", params=search)
    assert len(page["dead_letters"]) == found


async def test_pages_hold_everything_once(room: Room) -> None:
    """The newest failures come first; a page begins where the last one ended."""
    await room.store(*(dead(at=seconds) for seconds in range(7)))
    seen: list[str] = []
    cursor = None
    while True:
        page = await room.ask("GET", "/dead-letters", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))
        seen += (each["last_failed_at"] for each in page["dead_letters"])
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)
    await room.ask("GET", "/dead-letters", params={"cursor": "x"}, status=422)


async def test_groups_are_of_what_failed_alike(room: Room) -> None:
    """The largest first."""
    other = {ERROR_CLASS: "Poison", ERROR_REASON: "no event"}
    await room.store(*(dead() for _ in range(3)), dead(headers=other))
    groups = await room.ask("GET", "/dead-letters/groups")
    assert [(each["error"], each["count"]) for each in groups] == [("Bug", 3), ("Poison", 1)]
    page = await room.ask("GET", "/dead-letters", params={"fingerprint": groups[0]["fingerprint"]})
    assert len(page["dead_letters"]) == 3


async def test_nothing_personal_is_shown(room: Room) -> None:
    """A view of a dead letter tells fields and rules; personal data and secrets are masked, in whatever broke."""
    said = OrderCreated.example().model_dump_json().replace("tok_ok", CARD).replace('"c-42"', f'"{CARD}"')
    broken = said.replace('"EUR"', f'"{CARD}"')
    await room.store(dead(body=said.encode()), dead(body=broken.encode()), dead(body=f"card {CARD}, Ada".encode()))
    address = OrderCreated.example().shipping_address
    secrets = (CARD, address.name, address.line1, address.city)
    for letter in (await room.ask("GET", "/dead-letters"))["dead_letters"]:
        answer = await room.http.get(f"/dead-letters/{letter['id']}")
        assert answer.is_success
        shown = answer.text.replace(letter["id"], "")
        assert not [secret for secret in secrets if str(secret) in shown], shown


async def test_what_is_wrong_is_told(room: Room) -> None:
    """The message is held against its contract; one that fits it failed for another reason."""
    [letter] = await room.store(dead())
    file = await room.ask("GET", f"/dead-letters/{letter['id']}")
    assert (file["problem"], file["reason"]) == (None, "division by zero")
    assert file["order_problem"].startswith("no order API is known here")
    [wrong, _] = await room.store(dead(body=b'{"version": 1}'))
    file = await room.ask("GET", f"/dead-letters/{wrong['id']}")
    assert "items: Field required" in file["problem"]
    await room.ask("GET", f"/dead-letters/{uuid4()}", status=404)


async def test_discarding_needs_a_reason_and_is_recorded(room: Room) -> None:
    """What was given up is no more among the open ones, cannot be replayed, and the audit says who and why."""
    [letter] = await room.store(dead())
    path = f"/dead-letters/{letter['id']}/discard"
    await room.ask("POST", path, json={}, status=422)
    await room.ask("POST", path, json={"reason": "a test order"})
    await room.ask("POST", path, json={"reason": "a test order"}, status=409)
    await room.ask("POST", "/replays", json={"selection": {"ids": [letter["id"]]}}, status=404)
    await room.ask("POST", f"/dead-letters/{uuid4()}/discard", json={"reason": "no such"}, status=404)
    [action] = await room.ask("GET", "/actions")
    assert (action["action"], action["subject"]) == ("discard", letter["id"])
    assert action["detail"] == {"reason": "a test order"}
    assert action["actor"].startswith("an-operator (key ")


@pytest.mark.parametrize("statement", ["UPDATE {} SET actor = 'me'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_audit_cannot_be_changed(room: Room, statement: str) -> None:
    """What operators did is written once."""
    [letter] = await room.store(dead())
    await room.ask("POST", f"/dead-letters/{letter['id']}/discard", json={"reason": "a test order"})
    with pytest.raises(DBAPIError, match="written once"):
        async with room.service.database.engine.begin() as connection:
            await connection.execute(text(statement.format("operator_actions")))


async def test_an_edit_keeps_the_contract(room: Room) -> None:
    """An edit that breaks the contract is refused with the fields, never with values; nothing has changed then."""
    [letter] = await room.store(dead())
    path = f"/dead-letters/{letter['id']}/edit"
    wish = {"changes": {"total": {"amount": CARD}, "items": None}, "reason": "just trying"}
    problem = await room.ask("POST", path, json=wish, status=409)
    assert "items: Field required" in problem["detail"]
    assert CARD not in str(problem)
    assert len((await room.ask("GET", "/dead-letters"))["dead_letters"]) == 1
    assert await room.ask("GET", "/actions") == []


async def test_an_edit_may_name_anything(room: Room) -> None:
    """Fields that no contract knows are ignored, whatever their names hold; the audit can tell of them."""
    [letter] = await room.store(dead())
    wish = {"changes": {"a\x00b": 1, "customer_id": "c-7"}, "reason": "just trying"}
    await room.ask("POST", f"/dead-letters/{letter['id']}/edit", json=wish)
    assert [each["action"] for each in await room.ask("GET", "/actions")] == ["replay", "edit"]


class TestWithoutEditing:
    """Editing is off unless it is turned on."""

    @pytest.fixture
    def given(self) -> dict[str, Any]:
        """As the control room is by default."""
        return {"replay_interval": 3_600.0}

    async def test_editing_is_off(self, room: Room) -> None:
        """Nobody changes a message unless whoever runs the control room allows it."""
        [letter] = await room.store(dead())
        wish = {"changes": {"version": 1}, "reason": "just trying"}
        problem = await room.ask("POST", f"/dead-letters/{letter['id']}/edit", json=wish, status=409)
        assert "OPERATIONS_EDITING" in problem["detail"]


async def test_closed_dead_letters_are_forgotten_in_time(room: Room) -> None:
    """Long after it was decided about; an open one is kept for ever, and so is the audit."""
    first, second, _ = await room.store(dead(at=3), dead(at=2), dead(at=1))
    for letter in (first, second):
        await room.ask("POST", f"/dead-letters/{letter['id']}/discard", json={"reason": "a test order"})
    old = datetime.now(UTC) - timedelta(days=91)
    async with room.service.database.engine.begin() as connection:
        await connection.execute(
            update(DeadLetter).where(col(DeadLetter.id) == UUID(first["id"])).values(closed_at=old)
        )
        await connection.execute(update(DeadLetter).where(col(DeadLetter.state) == "open").values(last_failed_at=old))
    assert await retention.prune(room.service.execute, timedelta(days=90)) == 1
    async with room.service.database.session() as db:
        left = (await db.exec(select(DeadLetter.state).order_by(DeadLetter.state))).all()
    assert left == ["discarded", "open"]
    assert len(await room.ask("GET", "/actions")) == 2


async def test_a_customers_data_is_erased_in_custody_too(room: Room) -> None:
    """Erasing an order erases what is personal in its dead letters, readable or not; they can still be replayed."""
    order_id = uuid4()
    await room.store(dead(order_id=order_id), dead(order_id=order_id, body=b"Ada, 1 Main St"), dead())
    changed = await erasure.erase(room.service.database.url, Model.metadata, [order_id])
    assert changed == 2
    async with room.service.database.session() as db:
        letters = (await db.exec(select(DeadLetter).where(col(DeadLetter.order_id) == order_id))).all()
    bodies = [each.body or (each.raw or b"").decode() for each in letters]
    assert not [body for body in bodies if "Ada" in body or "Main St" in body]
    assert sorted(body == "erased" for body in bodies) == [False, True]


async def test_what_nobody_heard_is_kept_under_its_name(room: Room) -> None:
    """An unrouted event tells its name by its routing key."""
    [letter] = await room.store(dead(UNROUTED, routing_key="order.created"))
    assert (letter["queue"], letter["event"]) == (UNROUTED, "order.created")
    assert letter["reason"] == "no queue is bound for order.created"
