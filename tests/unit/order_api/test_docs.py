"""The viewers as the order API serves them: with a policy each, or with a page that says what is missing."""

import re
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from fastapi import FastAPI

from order_api.app import api
from order_api.routes import docs

VIEWERS = {"/docs": "swagger-ui", "/asyncapi/react": "asyncapi-react"}
_TARGETS = re.compile(r'\b(?:href|src)="([^"]*)"')


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the viewers, empty."""
    monkeypatch.setattr(docs, "ASSETS", tmp_path)
    return tmp_path


@pytest_asyncio.fixture
async def client() -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of these routes alone."""
    app = FastAPI(docs_url=None, redoc_url=None)
    app.include_router(docs.router)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test") as made:
        yield made


@pytest.mark.parametrize("path", VIEWERS)
@pytest.mark.usefixtures("assets")
async def test_a_viewer_that_is_not_installed_says_so(client: httpx2.AsyncClient, path: str) -> None:
    """It names the command that installs it and leads to what it would show."""
    page = await client.get(path)
    assert page.status_code == 404
    assert "<code>./run assets</code>" in page.text
    links = {str(httpx2.URL(f"http://test{path}").join(each)) for each in _TARGETS.findall(page.text)}
    assert links == {f"http://test/{each}" for each in ("openapi.json", "asyncapi", "asyncapi.json")}
    assert "script-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("path", VIEWERS)
async def test_a_viewer_loads_from_this_host_alone(client: httpx2.AsyncClient, assets: Path, path: str) -> None:
    """Its page has a policy of its own; code is made at run time by the one that cannot do without."""
    (assets / VIEWERS[path]).mkdir()
    page = await client.get(path)
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self' 'sha256-")
    assert "unsafe-inline" not in policy
    assert ("'unsafe-eval'" in policy) == (path == "/asyncapi/react")
    assert "connect-src 'self'" in policy
    assert not [each for each in _TARGETS.findall(page.text) if "//" in each]


async def test_a_viewers_file_is_served_once(client: httpx2.AsyncClient, assets: Path) -> None:
    """With its type and a tag; a client that names the tag gets no body."""
    (assets / "swagger-ui").mkdir()
    (assets / "swagger-ui" / "swagger-ui.css").write_text("p {}")
    first = await client.get("/assets/swagger-ui/swagger-ui.css")
    assert (first.status_code, first.text) == (200, "p {}")
    assert first.headers["content-type"].startswith("text/css")
    assert first.headers["x-content-type-options"] == "nosniff"
    again = await client.get("/assets/swagger-ui/swagger-ui.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["nothing.js", "swagger-ui", "..%2fsecret", "swagger-ui/%2e%2e/%2e%2e/secret"])
async def test_nothing_else_is_served(client: httpx2.AsyncClient, assets: Path, path: str) -> None:
    """Neither folders nor what lies beside them."""
    (assets / "swagger-ui").mkdir()
    (assets.parent / "secret").write_text("secret")
    assert (await client.get(f"/assets/{path}")).status_code == 404


def test_fastapis_own_viewers_are_off() -> None:
    """They would load their scripts from elsewhere."""
    assert (api.docs_url, api.redoc_url) == (None, None)
