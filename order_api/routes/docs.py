"""The two documents in their communities' viewers, which `./run assets` installs. Nothing comes from another host."""

from pathlib import Path
from string import Template

from fastapi import APIRouter, Request, Response, status
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from messaging.asyncapi.policy import policy_of, policy_of_viewer

router = APIRouter(include_in_schema=False)

ASSETS = Path(__file__).parents[1] / "assets"
"""Where the viewers are, if they are installed: a folder each."""
_PAGES = Path(__file__).parents[1] / "pages"


@router.get("/docs")
def rest_viewer() -> Response:
    """Swagger UI with the OpenAPI document."""
    return _viewer("docs.html", "swagger-ui", evaluates=False)


@router.get("/asyncapi/react")
def asyncapi_viewer() -> Response:
    """AsyncAPI's React component with the AsyncAPI document; it compiles schemas to code."""
    return _viewer("asyncapi_react.html", "asyncapi-react", evaluates=True, up="../")


@router.get("/assets/{path:path}")
async def asset(path: str, request: Request) -> Response:
    """A viewer's file, with a tag."""
    answer = await StaticFiles(directory=ASSETS, check_dir=False).get_response(path, request.scope)
    answer.headers.update({"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})
    return answer


def _viewer(name: str, needs: str, *, evaluates: bool, up: str = "") -> Response:
    """The page, or a page that says what is missing. `up` leads from its folder to the API's root."""
    if (ASSETS / needs).is_dir():
        page = _text(name)
        return _page(page, status.HTTP_200_OK, policy_of_viewer(page, evaluates=evaluates))
    page = Template(_text("not_installed.html")).substitute(up=up)
    return _page(page, status.HTTP_404_NOT_FOUND, policy_of(page))


def _page(page: str, status_code: int, policy: str) -> Response:
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    return HTMLResponse(page, status_code, headers)


def _text(name: str) -> str:
    return (_PAGES / name).read_text(encoding="utf-8")
