"""Where a planted secret could come to light: logs, numbers, views of dead letters, columns of databases."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.invariants.books import reading
from tests.invariants.design import ADDRESS_COLUMNS, TOKEN_COLUMNS
from tests.invariants.expectations import Violation

_COLUMNS = """
    SELECT table_name AS "table", column_name AS "column" FROM information_schema.columns
    WHERE table_schema = 'public' ORDER BY 1, 2
"""
_SEARCH = """SELECT count(*) AS rows FROM "{table}" WHERE strpos("{column}"::text, '{value}') > 0"""


@dataclass(frozen=True, slots=True)
class Secret:
    """Something planted that must stay where it belongs."""

    what: str
    """Names it in a violation, which must not repeat it."""
    value: str = field(repr=False)
    belongs: frozenset[str] = frozenset()
    """The columns, as `service.table.column`, that are there to hold it."""

    @classmethod
    def card(cls, number: str) -> "Secret":
        """A number that was given as the payment token of an order."""
        return cls("the card's number", number, TOKEN_COLUMNS)

    @classmethod
    def address(cls, text: str) -> "Secret":
        """A part of the address of an order."""
        return cls("the address", text, ADDRESS_COLUMNS)


@dataclass(frozen=True, slots=True)
class Places:
    """What to search."""

    databases: Mapping[str, str] = field(default_factory=dict[str, str])
    logs: Path | None = None
    """A folder; every `*.log` in it, at whatever depth."""
    addresses: Mapping[str, str] = field(default_factory=dict[str, str])
    """Where each service answers `/metrics`."""
    control_room: str | None = None
    """Where dead letters are shown to an operator."""
    operator: Mapping[str, str] = field(default_factory=dict[str, str])
    """The operator's header."""


async def disclosed(places: Places, *secrets: Secret) -> list[Violation]:
    """I9: each place in which a planted secret is found, sorted; empty when all are kept."""
    texts = {**_logs(places.logs), **await _numbers(places), **await _letters(places)}
    found = {
        Violation("I9", f"{secret.what} is in {place}")
        for secret in secrets
        for place, text in texts.items()
        if secret.value in text
    }
    for service, url in places.databases.items():
        for secret in secrets:
            columns = {f"{service}.{column}" for column in await _columns(url, secret.value)}
            found |= {Violation("I9", f"{secret.what} is in {column}") for column in columns - secret.belongs}
    return sorted(found)


def _logs(folder: Path | None) -> Mapping[str, str]:
    if folder is None:
        return {}
    return {f"the log {log.relative_to(folder)}": log.read_text(errors="replace") for log in folder.rglob("*.log")}


async def _numbers(places: Places) -> Mapping[str, str]:
    async with httpx2.AsyncClient(timeout=10) as http:
        pages = await asyncio.gather(*(http.get(f"{url}/metrics") for url in places.addresses.values()))
    return {f"the metrics of {name}": page.text for name, page in zip(places.addresses, pages, strict=True)}


async def _letters(places: Places) -> Mapping[str, str]:
    """What an operator is shown of every dead letter, one by one and in groups."""
    if places.control_room is None:
        return {}
    async with httpx2.AsyncClient(base_url=places.control_room, headers=places.operator, timeout=10) as http:
        shown: dict[str, str] = {"the groups of dead letters": (await _got(http, "/dead-letters/groups")).text}
        query: dict[str, Any] = {"limit": 500}
        while True:
            page = (await _got(http, "/dead-letters", query)).json()
            shown |= {f"the list of dead letters, at {each['id']}": json.dumps(each) for each in page["dead_letters"]}
            for each in page["dead_letters"]:
                shown[f"the view of dead letter {each['id']}"] = (await _got(http, f"/dead-letters/{each['id']}")).text
            if page["next"] is None:
                return shown
            query["cursor"] = page["next"]


async def _got(http: httpx2.AsyncClient, path: str, query: Mapping[str, Any] | None = None) -> httpx2.Response:
    return (await http.get(path, params=query)).raise_for_status()


async def _columns(url: str, value: str) -> set[str]:
    """The columns in which a text is found, as `table.column`."""
    assert "'" not in value
    async with reading(url) as rows:
        return {
            f"{place['table']}.{place['column']}"
            for place in await rows(_COLUMNS)
            if (await rows(_SEARCH.format(**place, value=value)))[0]["rows"]
        }
