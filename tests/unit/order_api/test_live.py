"""An order's timeline as it happens."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx2
import pytest
import pytest_asyncio
import uvicorn

from devstack.ports import any_free_port
from messaging.service import Service
from order_api import live
from order_api.app import create_api
from order_api.settings import Settings
from order_api.shop import Shop
from rest import keys
from rest.callers import Scope
from tests.unit.order_api.orders import deliver

Json = dict[str, Any]


@dataclass
class Event:
    """One server-sent event."""

    id: str | None
    name: str
    data: Json


class Stream:
    """Reads server-sent events, as a browser's EventSource does."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.aiter_lines()
        self.comments = 0

    async def event(self) -> Event | None:
        """The next event; None when the stream has ended."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return Event(fields.get("id"), fields.get("event", "message"), json.loads(fields["data"]))
        return None

    async def all(self) -> list[Event]:
        """Everything to the end."""
        events: list[Event] = []
        while (event := await self.event()) is not None:
            events.append(event)
        return events


@dataclass
class Api:
    """A real server: in memory a response is handed over when it has ended, and these do not end."""

    http: httpx2.AsyncClient
    shop: Shop

    async def place(self, wish: Json) -> str:
        """Place an order; returns where its events are."""
        return f"{(await self.http.post('/orders', json=wish)).headers['location']}/events"

    def follow(self, path: str, last: str | None = None) -> Any:
        """Open the stream."""
        return self.http.stream("GET", path, headers={} if last is None else {"Last-Event-ID": last})


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what another task brings about."""
    while not holds():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def api(service: Service) -> AsyncGenerator[Api]:
    """The order API on a port, with quick heartbeats; its lifespan is the test's."""
    settings = Settings(live_interval=0.01, heartbeat=0.05)
    made = create_api(service, settings)
    port = any_free_port()
    server = uvicorn.Server(uvicorn.Config(made, host="127.0.0.1", port=port, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server._serve())  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - it minds no signals
    telling = asyncio.create_task(made.state.shop.live.watch())
    await until(lambda: server.started)
    token = await keys.create(service.database, "storefront", set(Scope))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=15) as http:
        yield Api(http, made.state.shop)
    made.state.shop.live.close()
    server.should_exit = True
    await serving
    telling.cancel()


def order_of(path: str) -> UUID:
    """The id in the path of an order's events."""
    return UUID(path.split("/")[2])


async def test_a_timeline_is_told_as_it_happens(api: Api, service: Service, wish: Json) -> None:
    """What is known at once, then each fact as it comes, and at the final status the end."""
    path = await api.place(wish)
    async with api.follow(path) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        stream = Stream(response)
        told = [await stream.event()]
        for name in ("payment.authorized", "inventory.reserved", "shipping.ready"):
            await deliver(service, order_of(path), name)
            told.append(await stream.event())
        rest = await stream.all()
    entries = [event.data for event in told if event]
    assert [entry["event"] for entry in entries] == [
        "order.created",
        "payment.authorized",
        "inventory.reserved",
        "shipping.ready",
    ]
    assert [entry["status_after"] for entry in entries] == ["pending", "authorized", "reserved", "ready"]
    assert [(event.name, event.data) for event in rest] == [("reached", {"status": "ready"})]


async def test_a_client_that_was_cut_off_misses_nothing(api: Api, service: Service, wish: Json) -> None:
    """It sends the last id that it has, and hears what came after; nothing twice."""
    path = await api.place(wish)
    async with api.follow(path) as response:
        first = await Stream(response).event()
    assert first
    await deliver(service, order_of(path), "payment.authorized", "inventory.reserved")
    async with api.follow(path, first.id) as response:
        stream = Stream(response)
        second = await stream.event()
        assert second
        assert second.data["event"] == "payment.authorized"
        await deliver(service, order_of(path), "shipping.ready")
        rest = await stream.all()
    assert [event.data.get("event", event.name) for event in rest] == [
        "inventory.reserved",
        "shipping.ready",
        "reached",
    ]


async def test_who_has_everything_is_told_to_stop(api: Api, service: Service, wish: Json) -> None:
    """A browser reconnects when a stream ends, until it is answered 204; what comes after the final status is told."""
    path = await api.place(wish)
    await deliver(service, order_of(path), "payment.authorized", "inventory.reserved", "shipping.ready")
    async with api.follow(path) as response:
        *_, last, _ = await Stream(response).all()
    assert (await api.http.get(path, headers={"Last-Event-ID": str(last.id)})).status_code == 204
    await deliver(service, order_of(path), "payment.captured")
    async with api.follow(path, last.id) as response:
        more = await Stream(response).all()
    assert [event.data.get("event", event.name) for event in more] == ["payment.captured", "reached"]


async def test_silence_is_broken_by_heartbeats(api: Api, service: Service, wish: Json) -> None:
    """Comments, which clients ignore and proxies do not."""
    path = await api.place(wish)
    async with api.follow(path) as response:
        stream = Stream(response)
        await stream.event()
        waiting = asyncio.create_task(stream.event())
        await until(lambda: stream.comments >= 3)
        await deliver(service, order_of(path), "payment.authorized")
        assert (await waiting) is not None


async def test_a_process_that_ends_lets_its_listeners_go(api: Api, wish: Json) -> None:
    """The stream ends without `reached`, so that the client comes back, to another process."""
    path = await api.place(wish)
    async with api.follow(path) as response:
        stream = Stream(response)
        await stream.event()
        api.shop.live.close()
        assert await stream.all() == []
    async with api.follow(path) as response:
        assert [event.data["event"] for event in await Stream(response).all()] == ["order.created"]


async def test_many_are_told_by_one_statement_and_nobody_by_none(
    api: Api, service: Service, wish: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who follow the same order both hear of it; when the last is gone, the database is left alone."""
    path = await api.place(wish)
    async with api.follow(path) as one, api.follow(path) as two:
        streams = [Stream(one), Stream(two)]
        for stream in streams:
            await stream.event()
        await deliver(service, order_of(path), "payment.authorized")
        for stream in streams:
            event = await stream.event()
            assert event
            assert event.data["event"] == "payment.authorized"
    await until(lambda: not api.shop.live.watchers)
    asked = False

    async def ask() -> None:
        nonlocal asked
        asked = True

    await asyncio.sleep(0.05)
    monkeypatch.setattr(api.shop.live, "look", ask)
    await asyncio.sleep(0.1)
    assert not asked


async def test_no_more_connections_are_kept_than_the_process_can_hold(
    api: Api, wish: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is answered with 503 and a time to come back."""
    path = await api.place(wish)
    monkeypatch.setattr(live, "MOST_WATCHERS", 1)
    async with api.follow(path) as response:
        stream = Stream(response)
        await stream.event()
        await until(lambda: bool(api.shop.live.watchers))
        refused = await api.http.get(path)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]


@pytest.mark.parametrize("last", ["x", "-1", "1" * 19, "1.0"])
async def test_a_last_event_id_that_is_none_is_a_422(api: Api, wish: Json, last: str) -> None:
    """It is a number that the stream gave."""
    path = await api.place(wish)
    assert (await api.http.get(path, headers={"Last-Event-ID": last})).status_code == 422
