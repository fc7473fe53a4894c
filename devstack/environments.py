"""Virtual environments beside .venv, for programs whose packages the services and their tests know nothing of."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from devstack.errors import StackError
from devstack.paths import CHECKOUT, DOWNLOADS


def python_with(group: str) -> Path:
    """Return a Python that has the packages of requirements/<group>.txt, exactly these; installs them where it must.

    Raises StackError if they cannot be had.
    """
    lock = CHECKOUT / "requirements" / f"{group}.txt"
    home = DOWNLOADS / "environments" / group
    python, stamp = home / "bin" / "python", home / ".installed"
    home.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{group}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two at once: one installs, the other waits
        if not stamp.exists() or stamp.read_text() != lock.read_text():
            _run(group, [sys.executable, "-m", "venv", "--clear", "--without-pip", str(home)])
            _run(group, [*_installer(python), "--require-hashes", "-r", str(lock)])
            stamp.write_text(lock.read_text())
    return python


def _installer(python: Path) -> list[str]:
    """Uv or pip, whichever `run` used; pip works on an environment that has none."""
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", str(python)]
    return [sys.executable, "-m", "pip", "--python", str(python), "install", "-qq", "--disable-pip-version-check"]


def _run(group: str, command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(
            f"the packages of requirements/{group}.txt could not be installed:\n{done.stdout}{done.stderr}"
        )
