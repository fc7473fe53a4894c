"""Each import contract of pyproject.toml reports a planted breach, and this checkout breaks none."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.rules import ROOT

CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS: list[str] = [contract["name"] for contract in CONFIGURATION["contracts"]]
PACKAGES: list[str] = CONFIGURATION["root_packages"]
NO_PRODUCT = {"tests", "benchmarks"}
"""Top-level folders with Python that nothing imports."""

LAYERS, PYDANTIC, THROUGH_MESSAGING, NO_FRAMEWORK, PURE, EDGE, NO_TESTS, ACYCLIC = CONTRACTS


@dataclass(frozen=True)
class Report:
    """What lint-imports said."""

    broken: list[str]
    status: int
    text: str


def lint(root: Path) -> Report:
    """Run lint-imports in a checkout, as `./run check` does."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603 - its own program
    said = re.sub(r"\s+", " ", done.stdout)
    return Report([name for name in CONTRACTS if f"{name} BROKEN" in said], done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is linted."""
    copy = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def lint_with(checkout: Path) -> Callable[[str, str], Report]:
    """Lint the copy with an import planted at the end of a module, and take it out again."""

    def plant(path: str, statement: str) -> Report:
        module = checkout / path
        before = module.read_text() if module.exists() else None
        module.write_text(f"{before or ''}\n{statement}\n")
        try:
            return lint(checkout)
        finally:
            module.unlink() if before is None else module.write_text(before)

    return plant


def test_the_checkout_keeps_every_contract() -> None:
    """This checkout's own imports break no contract."""
    report = lint(ROOT)
    assert (report.status, report.broken) == (0, []), report.text


def test_every_package_is_guarded() -> None:
    """A top-level package that the import contracts do not know would escape them all."""
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {
        path.parent.name for path in ROOT.glob("*/app.py")
    }
    assert found - NO_PRODUCT == set(PACKAGES)


@pytest.mark.parametrize(
    ("path", "statement", "broken"),
    [
        ("contracts/event.py", "import sqlmodel", [PYDANTIC]),
        ("contracts/event.py", "import faststream.rabbit", [PYDANTIC]),
        ("payment/domain.py", "from inventory.domain import State", [LAYERS]),
        ("shipping/handlers.py", "from order_api.schemas import OrderRequest", [LAYERS]),
        ("messaging/retry.py", "import payment", [LAYERS]),
        ("messaging/retry.py", "import devstack.ports", [LAYERS]),
        ("payment/gateway.py", "from devstack.ports import next_free_port", [LAYERS]),
        ("payment/handlers.py", "from faststream.rabbit import RabbitMessage", [THROUGH_MESSAGING, NO_FRAMEWORK]),
        ("inventory/stock.py", "import aio_pika", [THROUGH_MESSAGING]),
        ("order_api/domain.py", "from fastapi import HTTPException", [NO_FRAMEWORK]),
        ("shipping/models.py", "from starlette.requests import Request", [NO_FRAMEWORK]),
        ("payment/domain.py", "from sqlmodel import select", [PURE]),
        ("payment/handlers.py", "from messaging import edge", [EDGE]),
        ("inventory/stock.py", "from messaging.edge import commit", [EDGE]),
        ("payment/gateway.py", "from messaging.testing import Clones", [NO_TESTS]),
        ("messaging/service.py", "from tests.broker import probe", [NO_TESTS]),
        ("messaging/outcome.py", "from messaging.retry import RetryPolicy", [ACYCLIC]),
    ],
)
def test_a_forbidden_import_is_reported(
    lint_with: Callable[[str, str], Report], path: str, statement: str, broken: list[str]
) -> None:
    """A planted import breaks exactly the contracts that forbid it."""
    report = lint_with(path, statement)
    assert report.broken == broken, report.text
    assert report.status == 1


def test_a_composition_root_may_name_faststream(lint_with: Callable[[str, str], Report]) -> None:
    """The one exemption: app.py of a service."""
    assert lint_with("payment/app.py", "from faststream import FastStream").broken == []


def test_each_contract_has_a_planted_breach() -> None:
    """A contract that nothing breaks here would be a guard that nobody has seen fire."""
    (mark,) = (m for m in test_a_forbidden_import_is_reported.pytestmark if m.name == "parametrize")  # type: ignore[attr-defined]
    assert {name for *_, broken in mark.args[1] for name in broken} == set(CONTRACTS)
