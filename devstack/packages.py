"""Install locked Python packages into a folder, with uv or pip, whichever `run` used."""

import shutil
import subprocess
import sys
from pathlib import Path

from devstack.errors import StackError


def install_into(target: Path, lock: Path, *, or_else: str) -> None:
    """Install the packages of a lock file into a folder. `or_else` ends the error if they cannot be had."""
    uv = shutil.which("uv")
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable]
    else:
        command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [*command, "--no-deps", "--target", str(target), "--require-hashes", "-r", str(lock)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"{done.stdout}{done.stderr}\n{or_else}")
