"""The tutorial that adds a service works as it is printed: its steps are taken, in order, in a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from messaging.asyncapi.reading import DOCUMENT, consumers_of, load, read_topology
from messaging.topology import dead_letter_queue
from tests.docs.markdown import ROOT, TUTORIAL, Block

QUEUES = {"loyalty.order.created", "loyalty.shipping.ready"}
HEARD_OF = "order_api.loyalty.points_granted"

_FILE = re.compile(r"# (\S+)\n")
_NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".stack", "__pycache__", "node_modules", ".*cache", ".hypothesis")


class StepFailed(Exception):  # noqa: N818 - a state
    """A step of the page cannot be taken as it is printed."""


def take(step: Block, checkout: Path) -> None:
    """Do what a block says: write a file, change one, or run a command. Raises StepFailed."""
    named = _FILE.match(step.text)
    if named is None:
        done = run(checkout, "/bin/sh", "-ec", step.text)
        if step.language != "sh" or done.returncode != 0:
            raise StepFailed(f"{step.place}: {done.stderr}")
        return
    path, text = checkout / named[1], step.text[named.end() :]
    if path.exists() == (step.language != "diff"):
        raise StepFailed(f"{step.place}: {named[1]} is there, or is not")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(changed(path.read_text(), step.place, text) if step.language == "diff" else text)


def changed(text: str, place: str, diff: str) -> str:
    """The text with every hunk of a diff applied; each must fit at one place. Raises StepFailed."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        places = [found.start() for found in re.finditer(rf"^(?={re.escape(before)})", text, re.MULTILINE)]
        if len(places) != 1:
            raise StepFailed(f"{place}: this is not there exactly once:\n{before}")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        text = text[: places[0]] + after + text[places[0] + len(before) :]
    return text


def run(checkout: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the virtual environment in the copy."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(  # noqa: S603 - the page's own commands
        command,
        cwd=checkout,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout in which every step was taken."""
    copy = tmp_path_factory.mktemp("tutorial") / "checkout"
    shutil.copytree(ROOT, copy, ignore=_NOT_COPIED)
    (copy / ".venv").symlink_to(sys.prefix)
    for step in TUTORIAL.blocks():
        take(step, copy)
    return copy


def test_the_document_has_the_new_queues(checkout: Path) -> None:
    """What `./run asyncapi` writes declares them, with their dead letters, and names their consumers."""
    done = run(checkout, "python", "-m", "devstack.document")
    assert done.returncode == 0, done.stderr
    before, after = (read_topology(root / DOCUMENT) for root in (ROOT, checkout))
    queues = {*QUEUES, HEARD_OF}
    added = {queue.name for queue in after.queues} - {queue.name for queue in before.queues}
    assert added == queues | {dead_letter_queue(queue) for queue in queues}
    assert consumers_of(load(checkout / DOCUMENT)).keys() >= queues
    diff = run(checkout, "python", "-m", "devstack", "contracts", "diff", "--base", str(ROOT / DOCUMENT))
    assert "10 changes" in diff.stdout
    assert "all compatible" in diff.stdout


def test_its_tests_pass_and_its_migration_runs(checkout: Path) -> None:
    """Its own test on real tables, and what every service, event and migration is held to."""
    done = run(checkout, "pytest", "-q", "tests/unit/loyalty", "tests/architecture", "tests/contracts", "-k", "loyalty")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) >= 3 + 2 + 2


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "format", "--check"),
        ("ruff", "check"),
        ("lint-imports",),
        ("basedpyright", "loyalty", "contracts", "order_api/handlers.py", "tests/unit/loyalty"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_checks_pass(checkout: Path, command: tuple[str, ...]) -> None:
    """What the page prints is formatted, linted, typed and within the import rules as the rest is."""
    done = run(checkout, *command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_import_rules_hold_the_new_service(checkout: Path) -> None:
    """It escapes no rule: an import of another service's rules is reported."""
    handlers = checkout / "loyalty" / "handlers.py"
    text = handlers.read_text()
    handlers.write_text(f"{text}\nfrom payment.domain import State\n")
    done = run(checkout, "lint-imports")
    handlers.write_text(text)
    assert done.returncode == 1
    assert "loyalty is not allowed to import payment" in done.stdout


def test_a_step_that_does_not_fit_is_reported(tmp_path: Path) -> None:
    """A diff whose lines are not there, or there twice, a file that is there already, and a command that fails."""
    (tmp_path / "there.py").write_text("a = 1\na = 1\n")
    for language, text in [
        ("diff", "# there.py\n-b = 1\n"),
        ("diff", "# there.py\n-a = 1\n+a = 2\n"),
        ("diff", "# none.py\n+a = 2\n"),
        ("python", "# there.py\na = 2\n"),
        ("sh", "false\n"),
        ("python", "a = 2\n"),
    ]:
        with pytest.raises(StepFailed):
            take(Block("page:1", language, text), tmp_path)
    assert (tmp_path / "there.py").read_text() == "a = 1\na = 1\n"
