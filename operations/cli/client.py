"""Speaks to the control room as every client does: by REST, with a key."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx2
import typer
from rich.console import Console

console = Console(highlight=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False)

TIMEOUT = 30.0
"""Seconds for one answer."""


class ControlRoom:
    """The control room's REST API. What it refuses ends the command with a line that says why."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT)
        self._url = url

    def get(self, path: str, **search: Any) -> Any:
        """Ask; what is None or empty is not asked for."""
        return self._ask("GET", path, params={name: value for name, value in search.items() if value})

    def post(self, path: str, body: Any = None) -> Any:
        """Tell."""
        return self._ask("POST", path, json=body)

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            answer = self._http.request(method, path, **request)
        except httpx2.HTTPError as error:
            errors.print(f"The control room at {self._url} does not answer: {type(error).__name__}", style="red")
            raise typer.Exit(2) from None
        if answer.is_success:
            return answer.json() if answer.content else None
        _explain(answer)
        raise typer.Exit(1)


def _explain(answer: httpx2.Response) -> None:
    try:
        problem: dict[str, Any] = answer.json()
    except ValueError:
        problem = {}
    said = problem.get("detail") or problem.get("title") or answer.reason_phrase
    errors.print(f"{answer.status_code}: {said}", style="red", markup=False)
    for flaw in problem.get("errors") or ():
        errors.print(f"  {flaw.get('pointer') or flaw.get('parameter')}: {flaw['detail']}", style="red", markup=False)


@contextmanager
def control_room(context: typer.Context) -> Generator[ControlRoom]:
    """The control room that the options name."""
    url, key = context.obj
    if not key:
        errors.print("Give an API key of the control room: --key, or OPERATIONS_KEY in the environment.", style="red")
        raise typer.Exit(2)
    room = ControlRoom(url, key)
    try:
        yield room
    finally:
        room.close()
