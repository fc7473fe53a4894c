"""Read the published AsyncAPI document: as a page, as JSON, as YAML."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from messaging.asyncapi.policy import policy_of
from messaging.asyncapi.reading import DOCUMENT
from order_api.routes.etags import tagged
from rest.openapi import errors
from rest.problems import Kind, Problem

router = APIRouter(tags=["documents"])

FOLDER = Path(__file__).parents[2] / DOCUMENT.parent
"""Where the published files are, in the checkout and in the image."""

HTML, JSON, YAML = "text/html; charset=utf-8", "application/json", "application/yaml"


def _if_none_match(request: Request) -> str | None:
    return request.headers.get("if-none-match")


IfNoneMatch = Annotated[str | None, Depends(_if_none_match)]
"""The tags of the versions that the client has; any text will do, so no request for a document is invalid."""


def _answers(media_type: str) -> dict[int | str, dict[str, Any]]:
    tag = {"ETag": {"description": "The tag of this version.", "schema": {"type": "string"}}}
    text = {"type": "string"} if media_type == HTML else {"type": "object"}
    return {
        200: {"content": {media_type: {"schema": text}}, "headers": tag},
        304: {"description": "The client has this version.", "headers": tag},
        404: {**errors(404)[404], "description": Kind.UNPUBLISHED.title},
    }


# A `def`, not an `async def`: FastAPI runs these in a thread, for they read a file.


@router.get(
    "/asyncapi",
    operation_id="readAsyncApi",
    summary="Read the events' reference",
    response_class=Response,
    responses=_answers(HTML),
)
def asyncapi_page(if_none_match: IfNoneMatch) -> Response:
    """Every event, service, queue and exchange on one page, which needs no scripts."""
    page = _published("index.html")
    headers = {"Content-Security-Policy": policy_of(page.decode()), "X-Content-Type-Options": "nosniff"}
    return _answer(page, HTML, if_none_match, headers)


@router.get(
    "/asyncapi.json",
    operation_id="getAsyncApiJson",
    summary="Fetch the AsyncAPI document",
    response_class=Response,
    responses=_answers(JSON),
)
def asyncapi_json(if_none_match: IfNoneMatch) -> Response:
    """The document for programs."""
    return _answer(_published("asyncapi.json"), JSON, if_none_match)


@router.get(
    "/asyncapi.yaml",
    operation_id="getAsyncApiYaml",
    summary="Fetch it as YAML",
    response_class=Response,
    responses=_answers(YAML),
)
def asyncapi_yaml(if_none_match: IfNoneMatch) -> Response:
    """The same document."""
    return _answer(_published("asyncapi.yaml"), YAML, if_none_match)


def _published(name: str) -> bytes:
    try:
        return (FOLDER / name).read_bytes()
    except FileNotFoundError:
        raise Problem(Kind.UNPUBLISHED, f"{name} is not installed here; `./run asyncapi` writes it.") from None


def _answer(body: bytes, media_type: str, if_none_match: str | None, headers: dict[str, str] | None = None) -> Response:
    return tagged(body, media_type, if_none_match, {"Cache-Control": "no-cache", **(headers or {})})
