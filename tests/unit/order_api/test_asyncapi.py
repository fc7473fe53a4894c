"""The published document as the order API serves it."""

from pathlib import Path

import httpx2
import pytest

from messaging.asyncapi.policy import policy_of
from order_api.routes import asyncapi

ROUTES = {
    "/asyncapi": ("index.html", asyncapi.HTML),
    "/asyncapi.json": ("asyncapi.json", asyncapi.JSON),
    "/asyncapi.yaml": ("asyncapi.yaml", asyncapi.YAML),
}


@pytest.mark.parametrize("path", ROUTES)
async def test_the_committed_file_is_served_once(client: httpx2.AsyncClient, path: str) -> None:
    """With its type and a tag; a client that names the tag gets no body."""
    name, media_type = ROUTES[path]
    first = await client.get(path)
    assert first.status_code == 200
    assert first.content == (asyncapi.FOLDER / name).read_bytes()
    assert first.headers["content-type"] == media_type
    tag = first.headers["etag"]
    for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await client.get(path, headers={"If-None-Match": named})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_the_page_has_its_policy(client: httpx2.AsyncClient) -> None:
    """Nothing runs but what stands in it, and nothing is loaded."""
    page = await client.get("/asyncapi")
    assert page.headers["content-security-policy"] == policy_of(page.text)
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ROUTES)
async def test_a_file_that_is_not_there_is_a_problem(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str
) -> None:
    """It says what is missing and how to make it."""
    monkeypatch.setattr(asyncapi, "FOLDER", tmp_path)
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].endswith(":unpublished")
    assert "./run asyncapi" in answer.json()["detail"]


async def test_the_two_references_lead_to_each_other(client: httpx2.AsyncClient) -> None:
    """The REST documentation names the page, and the page the REST documentation."""
    assert "(/asyncapi)" in (await client.get("/openapi.json")).json()["info"]["description"]
    assert 'href="docs"' in (await client.get("/asyncapi")).text
