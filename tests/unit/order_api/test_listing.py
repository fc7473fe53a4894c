"""Many orders, a page at a time."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import OrderCreated
from messaging.service import Service
from order_api.facts import Facts
from order_api.listing import Cursor
from rest.callers import Scope
from rest.problems import Kind
from tests.unit.order_api.conftest import speaking_as
from tests.unit.order_api.orders import STOREFRONT, deliver

Json = dict[str, Any]
START = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


async def store(service: Service, *ages: int, customer: str = "c-42", state: str = "pending") -> list[str]:
    """Store orders that were created so many seconds after START; several at once are allowed."""
    events = [
        OrderCreated.example().model_copy(
            update={"order_id": uuid4(), "occurred_at": START + timedelta(seconds=age), "customer_id": customer}
        )
        for age in ages
    ]
    async with service.database.session() as db, db.begin():
        facts = Facts.of(db)
        for event in events:
            facts.place(event, STOREFRONT)
            facts.orders[-1]["state"] = state
    return [str(event.order_id) for event in events]


async def walk(client: httpx2.AsyncClient, **query: Any) -> list[list[str]]:
    """Follow the pages to the last one; return the ids on each."""
    pages: list[list[str]] = []
    answer = (await client.get("/orders", params=query)).raise_for_status()
    while True:
        page = answer.json()
        pages.append([order["order_id"] for order in page["orders"]])
        if page["next_cursor"] is None:
            assert "link" not in answer.headers
            return pages
        following = answer.headers["link"].removeprefix("<").removesuffix('>; rel="next"')
        assert f"cursor={page['next_cursor'].replace('=', '%3D')}" in following
        answer = (await client.get(following)).raise_for_status()


async def test_pages_hold_every_order_once_newest_first(client: httpx2.AsyncClient, service: Service) -> None:
    """Also those that were created in the same microsecond; the last page has no successor."""
    ids = await store(service, 0, 1, 1, 1, 1, 2, 3)
    pages = await walk(client, limit=3)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert sorted(chain.from_iterable(pages)) == sorted(ids)
    assert pages[0][:2] == [ids[6], ids[5]]
    assert pages[2] == [ids[0]]
    assert await walk(client, limit=7) == [[*chain.from_iterable(pages)]]


async def test_orders_that_come_meanwhile_shift_no_page(client: httpx2.AsyncClient, service: Service) -> None:
    """A page begins behind the last order of the one before, not at a number."""
    ids = await store(service, 0, 1, 2, 3)
    first = (await client.get("/orders", params={"limit": 2})).json()
    await store(service, 4, 5, 6)
    second = (await client.get("/orders", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [order["order_id"] for order in second["orders"]] == [ids[1], ids[0]]


async def test_filters_narrow_the_list(client: httpx2.AsyncClient, service: Service) -> None:
    """By status (several), customer and time; a range includes its start and not its end."""
    early = await store(service, 0, customer="c-1", state="ready")
    middle = await store(service, 10, customer="c-2", state="rejected")
    late = await store(service, 20, customer="c-1")
    assert await walk(client, status="ready") == [early]
    assert await walk(client, status=["ready", "rejected"]) == [middle + early]
    assert await walk(client, customer_id="c-1") == [late + early]
    assert await walk(client, customer_id="c-1", status="cancelled") == [[]]
    ten = (START + timedelta(seconds=10)).isoformat()
    assert await walk(client, created_from=ten) == [late + middle]
    assert await walk(client, created_before=ten) == [early]


async def test_a_client_lists_its_own_and_an_operator_all(service: Service, operator: httpx2.AsyncClient) -> None:
    """The filter is no way around."""
    ids = await store(service, 0, 1)
    async with speaking_as(service, Scope.READ, client="another") as another:
        assert await walk(another) == await walk(another, customer_id="c-42") == [[]]
    assert await walk(operator) == [ids[::-1]]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=" + "A" * 65, "cursor"),
        ("status=lost", "status"),
        ("customer_id=%00", "customer_id"),
        ("created_from=yesterday", "created_from"),
        ("created_from=2026-11-02T09:30:00", "created_from"),
        ("state=ready", None),
    ],
)
async def test_a_bad_query_is_a_422(client: httpx2.AsyncClient, query: str, parameter: str | None) -> None:
    """The parameter is named; one that nobody knows is refused, too, lest it silently select everything."""
    answer = await client.get(f"/orders?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, Kind.INVALID_REQUEST.type)
    assert answer.json()["errors"][0].get("parameter") == parameter


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_is_read_as_it_was_written(moment: datetime, order_id: UUID) -> None:
    """To the microsecond."""
    assert Cursor.parse(str(Cursor(moment, order_id))) == (moment, order_id)


@given(st.text(max_size=64) | st.binary(max_size=32).map(lambda raw: raw.hex()))
def test_what_is_no_cursor_is_a_value_error(text: str) -> None:
    """Never anything else, whatever a client made up."""
    with suppress(ValueError):
        Cursor.parse(text)


async def test_an_order_is_sent_once_while_it_does_not_change(client: httpx2.AsyncClient, wish: Json) -> None:
    """A client that names the version which it has gets 304 and no body."""
    location = (await client.post("/orders", json=wish)).headers["location"]
    first = await client.get(location)
    again = await client.get(location, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    await client.post(f"{location}/cancel")
    changed = await client.get(location, headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.json()["cancel_requested"] is True
    assert first.headers["cache-control"] == "private, no-cache"


async def test_status_and_facts_are_of_one_moment(client: httpx2.AsyncClient, service: Service, wish: Json) -> None:
    """While facts arrive, no answer shows a fact together with the status from before it."""
    location = (await client.post("/orders", json=wish)).headers["location"]
    done = asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            timeline = (await client.get(f"{location}/timeline")).json()
            latest = max(timeline["entries"], key=lambda entry: entry["recorded_at"])
            assert timeline["status"] == latest["status_after"]

    looking = asyncio.create_task(look())
    await deliver(
        service, UUID(location.rpartition("/")[2]), "payment.authorized", "inventory.reserved", "shipping.ready"
    )
    done.set()
    await looking
