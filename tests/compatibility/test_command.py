"""`./run contracts`, as a person runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from contracts import OrderCreated
from devstack.contracts import app
from devstack.paths import CHECKOUT
from messaging.asyncapi.profile import Json
from messaging.asyncapi.render import to_json

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def contracts(tmp_path: Path) -> Run:
    """Run the command where no stack is up."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {**os.environ, "ORDERS_STATE_FOLDER": str(tmp_path / "state"), "COLUMNS": "200", **environment}
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "devstack", "contracts", *arguments],
            cwd=CHECKOUT,
            env=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_a_break_is_status_1(contracts: Run, head: Json, tmp_path: Path) -> None:
    """Compared with a document that promised more: a readable report, one for programs, and a status for gates."""
    head["components"]["schemas"]["ShippingReady"]["properties"]["depot"] = {"type": "string"}
    base = tmp_path / "base.json"
    base.write_text(to_json(head))
    done = contracts("diff", "--base", str(base))
    assert (done.returncode, done.stderr) == (1, "")
    assert "shipping.ready.v1 from shipping to inventory, order_api, payment" in done.stdout
    done = contracts("diff", "--json", "--base", str(base), PAYMENT_PREFETCH="7")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert not report["compatible"]
    assert [(each["name"], each["status"]) for each in report["changes"]] == [("shipping.ready.v1", "breaking")]


def test_no_change_is_status_0(base: Json, tmp_path: Path) -> None:
    """Compared with itself, and with real messages that today's models read."""
    file = tmp_path / "base.json"
    file.write_text(to_json(base))
    samples = tmp_path / "samples"
    samples.mkdir()
    payload = json.loads(OrderCreated.example().model_dump_json())
    (samples / "one.json").write_text(json.dumps({"type": "order.created.v1", "payload": payload}))
    done = invoke("diff", "--base", str(file), "--samples", str(samples))
    assert (done.exit_code, done.stderr) == (0, "")
    assert "nothing changed" in done.stdout
    assert "✓ order.created.v1: 1 of 1 read" in done.stdout
    (samples / "two.json").write_text(json.dumps({"type": "order.created.v1", "payload": {}}))
    done = invoke("diff", "--base", str(file), "--samples", str(samples))
    assert done.exit_code == 1
    assert "two.json: no order.created.v1: " in done.stdout


def test_a_git_commit_can_be_the_base() -> None:
    """The document that was committed with it is read, whatever the outcome."""
    done = invoke("diff", "--json", "--base", "HEAD")
    assert done.exit_code in {0, 1}, done.stderr
    assert "changes" in json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--base", "no-such-tag"], "no-such-tag is neither a file nor a git commit with asyncapi/asyncapi.json"),
        (["--base", "--help"], "--help is neither a file nor a git commit"),
        (["--base", "pyproject.toml"], "pyproject.toml is no AsyncAPI document of this system"),
        (["--base", "deploy"], "deploy is neither a file"),
        (["--samples", "no-such-folder"], "no-such-folder is no folder, nor `live`"),
    ],
)
def test_a_mistake_is_explained(arguments: list[str], problem: str) -> None:
    """Status 2, and a message that names what was wrong."""
    done = invoke("diff", *arguments)
    assert done.exit_code == 2
    assert problem in in_one_line(done.stderr)


@pytest.mark.parametrize("arguments", [["diff", "--samples", "live"], ["record", "somewhere"]])
def test_a_stack_that_is_not_up_is_no_empty_broker(contracts: Run, arguments: list[str]) -> None:
    """The way out is said."""
    done = contracts(*arguments)
    assert done.returncode == 2
    assert "Start the stack first: ./run up --detach" in in_one_line(done.stderr)


def test_help_tells_what_there_is(contracts: Run) -> None:
    """Each command, in a line."""
    done = contracts("--help")
    assert done.returncode == 0
    assert "./run contracts" in done.stdout
    assert "Say what changed since a release" in done.stdout


def invoke(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}, catch_exceptions=False)


def in_one_line(error: str) -> str:
    """The message without the frame around it."""
    return " ".join(error.replace("│", " ").split())
