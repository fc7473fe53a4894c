"""The short way of a good request: the answers are those that FastAPI gives, and what it cannot do is FastAPI's."""

from typing import Annotated, Any
from uuid import UUID

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field

from rest import problems
from rest.direct import DirectRoute
from rest.problems import Kind, Problem
from rest.strict_json import StrictJsonRoute

ID = "0192f5a0-7b1c-7000-8000-00000000002a"
LONG_WAY = "fastapi_inner_astack"
"""What FastAPI puts into the scope of the requests that it works on itself."""
ROUTES = (DirectRoute, StrictJsonRoute)


class Sent(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=5)]
    ids: list[UUID] = []


class Seen(BaseModel):
    """What the function saw."""

    direct: bool
    parts: list[str | None]


async def _door(request: Request, x_door: Annotated[str, Header(max_length=9)] = "open") -> str:
    if x_door == "closed":
        raise Problem(Kind.FORBIDDEN)
    assert request.method in {"GET", "POST"}
    return x_door


Door = Annotated[str, Depends(_door)]
Note = Annotated[str | None, Header(alias="X-Note", pattern="^[a-z]+$")]


def _application(route_class: type[StrictJsonRoute], *, include: bool = False) -> FastAPI:
    router = APIRouter(route_class=route_class)

    @router.post("/things/{thing}", status_code=201)
    async def _(  # noqa: PLR0913, PLR0917 - parts of the request, which are given by name
        thing: Annotated[UUID, Path()], sent: Sent, door: Door, request: Request, response: Response, note: Note = None
    ) -> Seen:
        response.headers["Location"] = f"/things/{thing}"
        if note == "again":
            response.status_code = status.HTTP_200_OK
        return Seen(direct=LONG_WAY not in request.scope, parts=[str(thing), sent.name, door, note])

    @router.get("/plain")
    async def _(request: Request, *, must: Annotated[str, Header()]) -> Seen:
        if must == "own":
            return Response(b"mine", status_code=203)  # pyright: ignore[reportReturnType] - FastAPI takes it as well
        return Seen(direct=LONG_WAY not in request.scope, parts=[must])

    @router.get("/queried")
    async def _(request: Request, *, word: Annotated[str, Query()]) -> Seen:
        return Seen(direct=LONG_WAY not in request.scope, parts=[word])

    @router.get("/many")
    async def _(request: Request, *, tag: Annotated[list[str], Header()]) -> Seen:
        return Seen(direct=LONG_WAY not in request.scope, parts=[*tag])

    @router.get("/threaded")
    def _(request: Request) -> Seen:
        return Seen(direct=LONG_WAY not in request.scope, parts=[])

    made = FastAPI()
    problems.install(made)
    if include:
        made.include_router(router, dependencies=[Depends(_door)])
    else:
        made.router.routes.extend(router.routes)
    made.state.routes = router.routes
    return made


async def _ask(application: FastAPI, method: str, path: str, **given: Any) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=application)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, **given)


GOOD: dict[str, dict[str, Any]] = {
    "plainly": {},
    "with headers": {"headers": {"X-Door": "ajar", "X-Note": "again"}},
    "in chunks": {"content": b'{"name": "a"}', "headers": {"content-type": "application/vnd.x+json"}},
}


@pytest.mark.parametrize("given", GOOD.values(), ids=GOOD.keys())
async def test_a_good_request_is_answered_as_by_fastapi(given: dict[str, Any]) -> None:
    """Status, headers and body are the same; FastAPI's solver saw only one of both."""
    given = given if "content" in given else {"json": {"name": "a", "ids": [ID]}, **given}
    short, long = [await _ask(_application(each), "POST", f"/things/{ID}", **given) for each in ROUTES]
    assert (short.status_code, long.json()["direct"], short.json()["direct"]) == (long.status_code, False, True)
    assert short.json()["parts"] == long.json()["parts"]
    assert {**short.headers, "content-length": ""} == {**long.headers, "content-length": ""}


BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "no body": (ID, {"headers": {"content-type": "application/json"}}),
    "no JSON": (ID, {"content": b"{", "headers": {"content-type": "application/json"}}),
    "a name twice": (ID, {"content": b'{"name":"a","name":"a"}', "headers": {"content-type": "application/json"}}),
    "another type": (ID, {"content": b"name=a", "headers": {"content-type": "text/plain"}}),
    "no type": (ID, {"content": b'{"name":"a"}'}),
    "a bad field": (ID, {"json": {"name": "longer", "ids": ["?"]}}),
    "an unknown field": (ID, {"json": {"name": "a", "more": 1}}),
    "no object": (ID, {"json": []}),
    "a bad path": ("7", {"json": {"name": "a"}}),
    "a bad header": (ID, {"json": {"name": "a"}, "headers": {"X-Note": "A"}}),
    "a dependency's bad header, and a bad field": (ID, {"json": {"name": 1}, "headers": {"X-Door": "0123456789"}}),
    "a dependency refuses, ahead of a bad field": (ID, {"json": {"name": 1}, "headers": {"X-Door": "closed"}}),
    "no JSON, ahead of a dependency": (
        ID,
        {"content": b"{", "headers": {"X-Door": "closed", "content-type": "application/json"}},
    ),
}


@pytest.mark.parametrize(("thing", "given"), BAD.values(), ids=BAD.keys())
async def test_a_bad_request_is_refused_as_by_fastapi(thing: str, given: dict[str, Any]) -> None:
    """The same problem, byte by byte: which of several flaws is told is the same, too."""
    short, long = [await _ask(_application(each), "POST", f"/things/{thing}", **given) for each in ROUTES]
    assert short.status_code >= 400
    assert (short.status_code, short.content, short.headers) == (long.status_code, long.content, long.headers)


@pytest.mark.parametrize(
    ("method", "path", "headers", "code", "direct"),
    [
        ("GET", "/plain", {"must": "be"}, 200, True),
        ("GET", "/plain", {"must": "own"}, 203, None),
        ("GET", "/plain", {}, 422, None),
        ("PUT", "/plain", {"must": "be"}, 405, None),
        ("GET", "/queried?word=a", {}, 200, False),
        ("GET", "/many", {"tag": "a"}, 200, False),
        ("GET", "/threaded", {}, 200, False),
    ],
)
async def test_what_takes_the_short_way(
    method: str,
    path: str,
    headers: dict[str, str],
    code: int,
    direct: bool | None,  # noqa: FBT001 - a column
) -> None:
    """Functions of texts do; queries, lists and threads are left to FastAPI, as is what is missing or not allowed."""
    short, long = [await _ask(_application(each), method, path, headers=headers) for each in ROUTES]
    assert short.status_code == long.status_code == code
    if direct is None:
        assert short.content == long.content
    else:
        assert short.json()["direct"] is direct


async def test_what_an_included_router_asks_for_is_not_left_out() -> None:
    """Its dependencies are not the route's own, so FastAPI sees to the request."""
    included = _application(DirectRoute, include=True)
    assert (await _ask(included, "GET", "/plain", headers={"must": "be"})).json()["direct"] is False
    assert (await _ask(included, "GET", "/plain", headers={"must": "be", "X-Door": "closed"})).status_code == 403
