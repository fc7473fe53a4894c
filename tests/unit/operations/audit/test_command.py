"""`python -m operations audit`, which `./run audit` runs: the balance as tables and as JSON."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from devstack.endpoints import Endpoints
from operations.__main__ import app
from operations.audit.kinds import Kind
from operations.cli import audit as command
from tests.docs.markdown import ROOT
from tests.unit.operations.audit.shop import YOUNG, Shop, event_id

pytestmark = pytest.mark.database

Run = Callable[..., Awaitable[Result]]
_LETTER = """
    INSERT INTO dead_letters (id, queue, identity, service, event, message_id, redrive, size, properties, headers,
        error_class, reason, fingerprint, attempts, first_failed_at, last_failed_at, stored_at, state)
    VALUES (gen_random_uuid(), 'payment.order.created', $1, 'payment', 'order.created', $1, 0, 2, '{}', '{}',
        'GatewayUnavailable', '503', 'f', 5, now(), now(), now(), 'open')
"""


@pytest.fixture
def run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on the shop's databases, and others besides; returns its result."""
    monkeypatch.setattr(command, "BETWEEN", 0.0)

    async def run(*arguments: str, **others: str) -> Result:
        given = {**shop.readers, **others}
        options = [part for service, url in given.items() for part in ("--database", f"{service}={url}")]
        return await asyncio.to_thread(CliRunner().invoke, app, ["audit", *options, *arguments], env={"COLUMNS": "100"})

    return run


async def test_a_shop_in_order_adds_up(run: Run, clone_database: Callable[[str], Awaitable[str]]) -> None:
    """The balance is printed as tables, and the status is 0."""
    done = await run(operations=await clone_database("operations"))
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.output.splitlines()]
    assert ["EUR", "7,740", "5,160", "2,580", "2,580", "0"] in rows
    assert ["MUG-01", "98", "95", "5", "2", "0", "98"] in rows
    assert ["rejected", "1"] in rows
    assert ["payment.order.created", "3", "3", "0", "0", "0"] in rows
    assert "money, stock and messages add up" in done.output
    assert "is not given" not in done.output


async def test_violations_are_named_and_the_status_is_1(shop: Shop, run: Run) -> None:
    """What does not add up is named with the order, on the terminal and in JSON."""
    order_id = str(shop.orders["done"])
    await shop.run("payment", "UPDATE gateway_accounts SET status = 'held' WHERE key = $1", order_id)
    done = await run()
    assert done.exit_code == 1
    assert f"✗ {Kind.NOT_CAPTURED} {order_id}" in done.output
    assert "the database of operations is not given" in done.output
    found = await run("--json")
    assert found.exit_code == 1
    data = json.loads(found.stdout)
    assert (Kind.NOT_CAPTURED, order_id) in {(each["kind"], each["subject"]) for each in data["violations"]}
    assert data["money"]["EUR"]["captured"] == 0


async def test_the_dead_letter_office_tells_what_is_parked(
    shop: Shop, run: Run, clone_database: Callable[[str], Awaitable[str]]
) -> None:
    """With the control room's database, a message that is parked is told from one that is missing."""
    office = await clone_database("operations")
    done, rejected = (event_id(shop.orders[stage], "order.created") for stage in ("done", "rejected"))
    await shop.run("payment", "DELETE FROM inbox WHERE event_id = ANY ($1)", [done, rejected])
    letters = Shop({"operations": office})
    await letters.run("operations", _LETTER, str(done))
    data = json.loads((await run("--json", operations=office)).stdout)
    tally = data["messages"]["payment.order.created"]
    assert (tally["applied"], tally["parked"], tally["missing"]) == (1, 1, 1)
    assert [(each["kind"], str(rejected) in each["detail"]) for each in data["violations"]] == [
        (Kind.MESSAGE_MISSING, True)
    ]


async def test_the_grace_can_be_shortened(shop: Shop, run: Run) -> None:
    """`--grace` says from when on what is on its way is a violation."""
    await shop.order("reserved", YOUNG)
    assert (await run()).exit_code == 0
    assert (await run("--grace", "1")).exit_code == 1


async def test_an_absent_database_is_named(run: Run) -> None:
    """A database that does not answer is named, and the status is 2."""
    done = await run(shipping="postgresql://reader:secret@127.0.0.1:1/shipping")
    assert done.exit_code == 2
    assert "the database of shipping does not answer" in done.stderr
    assert "secret" not in done.output


async def test_a_database_that_was_never_made_is_named(run: Run, shop: Shop) -> None:
    """A server that answers and has no such database says so, in a line; the status is 2."""
    done = await run(shipping=f"{shop.readers['shipping'].rpartition('/')[0]}/nowhere")
    assert done.exit_code == 2
    assert 'database "nowhere" does not exist' in done.stderr
    assert "Traceback" not in done.output


def test_a_database_that_is_missing_is_asked_for() -> None:
    """The four databases are needed; the error says which are missing and how to give them."""
    done = CliRunner().invoke(app, ["audit", "--database", "payment=postgresql://x"])
    assert done.exit_code == 2
    assert "order_api, inventory, shipping" in done.stderr
    assert "--database SERVICE=URL" in done.stderr


def test_what_is_no_url_is_refused() -> None:
    """What cannot be an address is an error that shows how one looks, and does not repeat it: it may be a secret."""
    done = CliRunner().invoke(app, ["audit", "--database", "payment=s3cret"])
    assert done.exit_code == 2
    assert "that of payment is no URL like postgresql://" in done.stderr
    assert "s3cret" not in done.output


@pytest.mark.parametrize("given", ["postgresql://x", "paymnt=postgresql://x"])
def test_a_database_of_no_service_is_refused(given: str) -> None:
    """What names no service is refused, with the names that there are."""
    done = CliRunner().invoke(app, ["audit", "--database", given], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "order_api, payment, inventory, shipping, operations" in done.stderr


async def test_the_environment_names_databases(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --database, the databases are those of the environment."""
    for service, url in shop.readers.items():
        monkeypatch.setenv(f"OPERATIONS_AUDIT_DATABASES__{service.upper()}", url)
    done = await asyncio.to_thread(CliRunner().invoke, app, ["audit"])
    assert done.exit_code == 0, done.output


def run_audit(folder: Path) -> subprocess.CompletedProcess[str]:
    """`./run audit` of the stack whose state is in that folder."""
    environment = {**os.environ, "ORDERS_STATE_FOLDER": str(folder)}
    command = [sys.executable, "-m", "devstack", "audit", "--json"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603


async def test_the_stack_that_is_up_is_audited(
    shop: Shop, clone_database: Callable[[str], Awaitable[str]], tmp_path: Path
) -> None:
    """`./run audit` finds the databases of the stack that is up, the control room's among them."""
    databases = {**shop.urls, "operations": await clone_database("operations")}
    Endpoints("", "", "", None, databases, {}, {}).write(tmp_path / "endpoints.json")
    done = await asyncio.to_thread(run_audit, tmp_path)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["orders"] == {"cancelled": 1, "ready": 1, "rejected": 1}
    await shop.run("payment", "DELETE FROM inbox")
    found = await asyncio.to_thread(run_audit, tmp_path)
    assert found.returncode == 1
    assert {each["kind"] for each in json.loads(found.stdout)["violations"]} == {Kind.MESSAGE_MISSING}


def test_without_a_stack_the_way_out_is_said(tmp_path: Path) -> None:
    """With nothing up, `./run audit` says how to start it."""
    done = run_audit(tmp_path)
    assert done.returncode == 1
    assert "./run up" in done.stderr
