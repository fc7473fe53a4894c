"""Environments beside .venv hold what their lock file says, and nothing else."""

import subprocess
from pathlib import Path

import pytest

from devstack import environments
from devstack.environments import python_with
from devstack.errors import StackError


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock file of a group `things`, of a checkout of the test's own, which no registry serves."""
    for variable in ("PIP_NO_INDEX", "UV_NO_INDEX"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(environments, "CHECKOUT", tmp_path)
    monkeypatch.setattr(environments, "DOWNLOADS", tmp_path / "downloads")
    file = tmp_path / "requirements" / "things.txt"
    file.parent.mkdir()
    return file


def test_an_environment_is_made_once_for_each_lock_file(lock: Path) -> None:
    """It has none of .venv's packages; a second time there is nothing to do; another lock file makes it anew."""
    lock.write_text("# nothing\n")
    python = python_with("things")
    found = subprocess.run([python, "-c", "import rich"], capture_output=True, text=True, check=False)  # noqa: S603
    assert "No module named 'rich'" in found.stderr
    left = python.parent / "left"
    left.touch()
    assert python_with("things") == python
    assert left.exists()
    lock.write_text("# something else\n")
    assert python_with("things") == python
    assert not left.exists()


def test_packages_that_cannot_be_had_are_an_error_that_names_the_lock_file(lock: Path) -> None:
    """And nothing counts as installed: it is tried again the next time."""
    lock.write_text(f"no-such-package-anywhere==1.0 --hash=sha256:{'0' * 64}\n")
    for _ in range(2):
        with pytest.raises(StackError, match=r"requirements/things\.txt could not be installed"):
            python_with("things")
