"""`./run` as its users meet it, with a state folder of its own."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.scenarios import DEMO
from devstack.single import holder
from tests.devstack.processes import command, descendants, gone

CHECKOUT = Path(__file__).parents[2]

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


class Runner:
    """Runs commands of `./run` (less its set-up) on a state folder."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        given = ("ORDERS_AMQP_URL", "ORDERS_RABBITMQ_MANAGEMENT_URL")
        environment = {name: value for name, value in os.environ.items() if name not in given}
        return subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "devstack", *arguments],
            cwd=CHECKOUT,
            env={**environment, "ORDERS_STATE_FOLDER": str(self.state)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Runner]:
    """A runner whose stack is down at the end."""
    runner = Runner(tmp_path / "state")
    yield runner
    runner("down")


def test_the_demo_ends_well_and_leaves_nothing_running(run: Runner) -> None:
    """Exit status 0, every order told, every queue listed, every process gone."""
    done = run("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(DEMO)} of {len(DEMO)} orders ended as they should" in done.stdout
    assert "A message that breaks the contract in custody" in done.stdout
    assert "payment.order.created" in done.stdout
    assert not [pid for pid in descendants(1) if str(run.state) in command(pid)]


def up_with_an_order(run: Runner) -> set[int]:
    """Bring a stack up, place an order, and return all its processes, the supervisor's first among them."""
    up = run("up", "--detach")
    assert up.returncode == 0, up.stdout + up.stderr
    path = run.state / "endpoints.json"
    endpoints = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(endpoints) == [
        "api",
        "control_room",
        "amqp",
        "rabbitmq_management",
        "databases",
        "api_keys",
        "services",
    ]
    assert list(endpoints["databases"]) == ["order_api", "payment", "inventory", "shipping", "operations"]
    assert list(endpoints["api_keys"]) == ["client", "operator"]
    placed = run("order", "MUG-01")
    assert placed.returncode == 0, placed.stdout + placed.stderr
    assert f"curl -sS -X POST {endpoints['api']}/orders" in placed.stdout
    supervisor = holder(run.state / "up.lock")
    assert supervisor
    return {supervisor} | descendants(supervisor)


def test_a_stack_comes_up_takes_an_order_and_goes_down(run: Runner) -> None:
    """`down` returns when everything has ended, and there is nothing to end then."""
    family = up_with_an_order(run)
    down = run("down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert gone(family, seconds=1)
    assert not (run.state / "endpoints.json").exists()
    assert run("down").stdout == "Nothing is up.\n"


@pytest.mark.slow
def test_nothing_outlives_a_killed_stack(run: Runner) -> None:
    """Servers and services end with their supervisor, and what they kept is there for the next start."""
    family = up_with_an_order(run)
    supervisor = holder(run.state / "up.lock")
    assert supervisor
    os.kill(supervisor, signal.SIGKILL)
    assert gone(family, seconds=20)
    up_with_an_order(run)


def test_a_given_server_that_does_not_answer_ends_the_demo(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a traceback, and before anything else is started."""
    monkeypatch.setenv("ORDERS_SHIPPING_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/shipping")
    done = run("demo")
    assert done.returncode == 1
    assert "ORDERS_SHIPPING_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_help_lists_every_command(run: Runner) -> None:
    """The first thing that a newcomer types."""
    shown = run("--help").stdout
    commands = (
        "demo",
        "test",
        "up",
        "down",
        "order",
        "top",
        "dlq",
        "audit",
        "check",
        "asyncapi",
        "verify",
        "topology",
        "lock",
    )
    assert all(name in shown for name in commands)
