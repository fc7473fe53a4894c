"""Who gets in, and what they may do there."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi.routing import APIRoute
from pydantic import ValidationError

from messaging.service import Service
from order_api.app import build, create_api
from order_api.routes import ROUTERS
from order_api.settings import Settings
from rest import keys
from rest.callers import Scope, new_token, prefix_of
from rest.keys import ApiKey, KeyRing
from rest.problems import Kind
from tests.unit.order_api.conftest import speaking_as, speaking_to

Json = dict[str, Any]
OPEN = ("/docs", "/asyncapi", "/asyncapi/react", "/asyncapi.json", "/asyncapi.yaml", "/assets")
"""What needs no key, said once more: a route that joins them has to be named here, too."""


def is_open(route: APIRoute) -> bool:
    """Whether a route is for everybody."""
    return route.path in OPEN or route.path.startswith("/assets/")


def routes() -> list[APIRoute]:
    """Every route of the API."""
    found = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert found
    return found


def closed() -> list[tuple[str, str]]:
    """Every request that needs a key."""
    return [
        (method, route.path.replace("{order_id}", "00000000-0000-0000-0000-000000000007").replace("{sku}", "MUG-01"))
        for route in routes()
        if not is_open(route)
        for method in sorted(route.methods or ())
    ]


@pytest.mark.parametrize(("method", "path"), [*closed(), ("GET", "/nowhere"), ("GET", "/docsx"), ("GET", "/")])
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer x", "Basic b3JkOng=", f"Bearer {new_token()}", "Bearer ord_é", f"Token {new_token()}"],
    ids=["none", "empty", "no token", "malformed", "basic", "unknown", "not ascii", "another scheme"],
)
async def test_nothing_opens_without_a_good_key(service: Service, method: str, path: str, header: str | None) -> None:
    """Every route that is not a document, and every path that does not exist: 401, and how to do better."""
    async with speaking_to(create_api(service, Settings()), None) as stranger:
        headers = {} if header is None else {b"Authorization": header.encode()}
        answer = await stranger.request(method, path, headers=headers)
    assert answer.status_code == 401, answer.text
    assert answer.json()["type"] == Kind.UNAUTHENTICATED.type
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert "ord_" not in answer.text or "ord_…" in answer.text


def test_every_closed_route_says_what_it_needs() -> None:
    """No route is reached with just any key: each names its scope, and so does its documentation."""
    document = create_api(build(Settings()), Settings()).openapi()
    for route in routes():
        for method in route.methods or ():
            operation: Json = document["paths"][route.path][method.lower()] if route.include_in_schema else {}
            if is_open(route):
                assert "security" not in operation
            else:
                requirement: dict[str, list[str]]
                [requirement] = operation["security"]
                assert [Scope(scope) for scope in requirement["ApiKey"]], route.path
                assert {"401", "403", "429"} <= operation["responses"].keys()


NEEDED = [
    ("GET", "/orders", Scope.READ),
    ("GET", "/products", Scope.READ),
    ("POST", "/orders", Scope.WRITE),
    ("POST", "/orders/00000000-0000-0000-0000-000000000007/cancel", Scope.WRITE),
    ("GET", "/orders/00000000-0000-0000-0000-000000000007/events", Scope.READ),
    ("POST", "/products/MUG-01/stock", Scope.OPERATIONS),
]


@pytest.mark.parametrize(("method", "path", "scope"), NEEDED)
async def test_a_key_without_the_scope_is_refused(service: Service, method: str, path: str, scope: Scope) -> None:
    """403 names the scope that is missing, ahead of any look at the request; operators may read all."""
    others = set(Scope) - {scope} - ({Scope.OPERATIONS} if scope is Scope.READ else set())
    async with speaking_as(service, *others) as client:
        answer = await client.request(method, path, json={} if method == "POST" else None)
    assert answer.status_code == 403, answer.text
    assert f'scope="{scope}"' in answer.headers["www-authenticate"]


async def test_another_clients_orders_do_not_exist(
    client: httpx2.AsyncClient, operator: httpx2.AsyncClient, service: Service, wish: Json
) -> None:
    """404 for looking, following and cancelling, and no trace in a list; every key of a client sees the same."""
    location = (await client.post("/orders", json=wish)).headers["location"]
    async with speaking_as(service, Scope.READ, Scope.WRITE, client="another") as stranger:
        for method, path in (("GET", ""), ("GET", "/timeline"), ("GET", "/events"), ("POST", "/cancel")):
            answer = await stranger.request(method, location + path)
            assert (answer.status_code, answer.json()["type"]) == (404, Kind.UNKNOWN_ORDER.type)
        assert (await stranger.get("/orders")).json()["orders"] == []
    async with speaking_as(service, Scope.READ) as second_key:
        assert (await second_key.get(location)).status_code == 200
    assert (await operator.get(location)).json()["status"] == "pending"


async def test_a_key_is_kept_as_its_digest_alone(service: Service) -> None:
    """Whoever reads the database learns no key."""
    token = await keys.create(service.database, "storefront", {Scope.READ})
    [row] = await keys.stored(service.database)
    assert isinstance(row, ApiKey)
    assert row.prefix == prefix_of(token)
    assert token not in repr(row)
    assert token.encode() not in row.digest


async def test_a_key_with_a_good_prefix_and_another_secret_opens_nothing(service: Service) -> None:
    """The prefix is public; the secret decides."""
    token = await keys.create(service.database, "storefront", {Scope.READ})
    forged = f"{token[:17]}{new_token()[17:]}"
    ring = KeyRing(service.database, 5)
    assert await ring.caller(token)
    assert prefix_of(forged) == prefix_of(token)
    assert await ring.caller(forged) is None


async def test_keys_are_changed_with_an_overlap(service: Service) -> None:
    """The old one works until its end is reached, the new one at once; a later end does not prolong an earlier one."""
    old = await keys.create(service.database, "storefront", {Scope.READ})
    prefix = prefix_of(old)
    new = await keys.create(service.database, "storefront", {Scope.READ})
    now = datetime.now(UTC)
    assert await keys.end(service.database, now + timedelta(hours=1), prefix=prefix) == 1
    ring = KeyRing(service.database, 5)
    assert await ring.caller(old)
    assert await ring.caller(new)
    await keys.end(service.database, now, prefix=prefix)
    await keys.end(service.database, now + timedelta(hours=2), prefix=prefix)
    ring = KeyRing(service.database, 5)
    assert await ring.caller(old) is None
    assert await ring.caller(new)
    assert await keys.end(service.database, now, prefix="0" * 12) == 0


async def test_strangers_do_not_keep_the_database_busy(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many unknown keys are tried at the same moment, they cost one or two looks into the database."""
    asked = 0
    read = keys.stored

    async def counted(database: Any) -> Any:
        nonlocal asked
        asked += 1
        return await read(database)

    monkeypatch.setattr(keys, "stored", counted)
    ring = KeyRing(service.database, 5)
    callers = await asyncio.gather(*(ring.caller(new_token()) for _ in range(50)))
    assert callers == [None] * 50
    assert asked <= 2


async def test_a_key_works_as_soon_as_it_was_made(service: Service) -> None:
    """Though the ring has just looked."""
    ring = KeyRing(service.database, 5)
    for _ in range(3):
        assert await ring.caller(await keys.create(service.database, "storefront", {Scope.READ}))


async def test_the_local_stacks_keys_end_with_the_next_start(service: Service) -> None:
    """What an earlier start wrote into endpoints.json opens nothing."""
    first, second = (new_token(), new_token()), (new_token(), new_token())
    for usual, everything in (first, second):
        wanted = {"local": ({Scope.READ, Scope.WRITE}, usual), "local-operator": (set(Scope), everything)}
        await keys.develop(service.database, wanted)
    ring = KeyRing(service.database, 5)
    assert [bool(await ring.caller(token)) for token in (*first, *second)] == [False, False, True, True]


async def test_documents_and_health_are_open_or_closed_by_a_setting(service: Service) -> None:
    """Closed, they need a key as everything does."""
    for opened, status in ((True, 200), (False, 401)):
        settings = Settings(open_documents=opened, open_health=opened)
        async with speaking_to(create_api(service, settings), None) as stranger:
            for path in ("/openapi.json", "/asyncapi.json", "/livez"):
                assert (await stranger.get(path)).status_code == status, path


async def test_a_key_has_its_share_and_no_more(service: Service) -> None:
    """429 says when to come back; another key is not touched by it."""
    api = create_api(service, Settings(rate_limit="3/minute"))
    first, second = [await keys.create(service.database, each, {Scope.READ}) for each in ("eager", "other")]
    async with speaking_to(api, first) as eager:
        statuses = [(await eager.get("/products")).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        refused = await eager.get("/products")
        assert refused.json()["type"] == Kind.TOO_MANY_REQUESTS.type
        assert 1 <= int(refused.headers["retry-after"]) <= 120
    async with speaking_to(api, second) as other:
        assert (await other.get("/products")).status_code == 200


GOOD: Json = {
    "amqp_url": "amqp://orders:s3cr3t-of-ours@mq/",
    "database_url": "postgresql://orders:s3cr3t-of-ours@db/orders",
}


@pytest.mark.parametrize(
    "weak",
    [
        {"amqp_url": "amqp://guest:guest@mq/"},
        {"amqp_url": "amqp://mq/"},
        {"database_url": "postgresql://orders:orders@db/orders"},
        {"development_client_key": new_token()},
    ],
    ids=["guest", "no password", "the password of compose.yml", "a development key"],
)
def test_production_refuses_secrets_that_others_know(weak: Json) -> None:
    """The process does not start, and says which setting it is, without its value."""
    assert Settings(production=True, **GOOD)
    with pytest.raises(ValidationError, match="not in production") as refused:
        Settings(production=True, **(GOOD | weak))
    for shown in (str(refused.value), repr(refused.value)):
        assert not [part for part in ("s3cr3t", "guest", "amqp://", "postgresql://", "ord_") if part in shown]
    assert Settings(**(GOOD | weak))


def test_a_rate_must_be_one() -> None:
    """A setting that cannot be read ends the start."""
    with pytest.raises(ValidationError, match="rate"):
        Settings(rate_limit="often")
