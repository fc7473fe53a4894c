"""`python -m order_api keys …`, as `./run keys` runs it on the stack that is up."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from typer.testing import CliRunner, Result

from messaging.service import Service
from order_api.__main__ import app
from rest.callers import Scope, prefix_of
from rest.keys import ApiKey, KeyRing

Keys = Callable[..., Awaitable[Result]]


@pytest.fixture
def keys(service: Service, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Run the command on the service's database."""
    monkeypatch.setenv("ORDER_API_DATABASE_URL", service.database.url)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["keys", *arguments])

    return run


async def test_a_key_is_made_shown_and_revoked(service: Service, keys: Keys) -> None:
    """`create` prints the key and nothing else, so that a script can take it; `list` never shows it again."""
    made = await keys("create", "--client", "storefront", "--scope", "orders:read", "--note", "for the till")
    token = made.stdout.strip()
    assert made.exit_code == 0
    caller = await KeyRing(service.database, 5).caller(token)
    assert caller
    assert (caller.client_id, caller.scopes) == ("storefront", {Scope.READ})
    listed = await keys("list")
    assert caller.key in listed.stdout
    assert "for the till" in listed.stdout
    assert token not in listed.stdout
    [row] = json.loads((await keys("list", "--json")).stdout)
    assert row.keys() == ApiKey.model_fields.keys() - {"digest"}
    assert (await keys("revoke", caller.key)).exit_code == 0
    assert await KeyRing(service.database, 5).caller(token) is None
    assert "ended" in (await keys("list")).stdout


async def test_a_key_stays_good_while_another_takes_its_place(service: Service, keys: Keys) -> None:
    """`--after` gives the hours of the overlap."""
    token = (await keys("create", "--client", "storefront")).stdout.strip()
    revoked = await keys("revoke", str(prefix_of(token)), "--after", "24")
    assert "ends at" in revoked.stdout
    assert await KeyRing(service.database, 5).caller(token)


async def test_what_is_wrong_is_said(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that nobody has, a client without a name, a database that is away: a line each, and a status."""
    assert "There are no keys yet" in (await keys("list")).stdout
    unknown = await keys("revoke", "0" * 12)
    assert (unknown.exit_code, "no key with the prefix" in unknown.stderr) == (1, True)
    assert (await keys("create", "--client", " ")).exit_code == 2
    assert (await keys("create", "--client", "x", "--scope", "everything")).exit_code == 2
    monkeypatch.setenv("ORDER_API_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/none")
    away = await keys("list")
    assert (away.exit_code, "does not answer" in away.stderr, "secret" in away.stderr) == (1, True, False)
