"""Fetch Debian packages and unpack them into a folder: no root, nothing installed.

The package lists of a fresh machine may be empty, and only root may renew them, so a private set of lists is made then.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from devstack.errors import StackError
from devstack.paths import DOWNLOADS

_PRIVATE_LISTS = DOWNLOADS / "apt"


class DebianPackagesError(StackError):
    """Not a Debian or Ubuntu, or its package sources did not give what was asked for."""


def available() -> bool:
    """Tell whether this machine has Debian's package tools."""
    return all(shutil.which(tool) for tool in ("apt-get", "dpkg-deb"))


def unpack_with_dependencies(package: str, tree: Path, *, wanted: str) -> None:
    """Unpack a package into `tree`, with those dependencies that the machine lacks and whose names match `wanted`."""
    options = _lists_that_know(package)
    plan = _apt([*options, "-s", "install", "--no-install-recommends", package])
    names = [name for name in re.findall(r"^Inst (\S+)", plan, re.MULTILINE) if re.match(wanted, name)]
    if package not in names:  # it is installed, so its dependencies are; take it alone
        names.append(package)
    downloads = tree.parent / f"{tree.name}.download"
    unpacked = tree.parent / f"{tree.name}.partial"
    for folder in (downloads, unpacked):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    _apt([*options, "download", *names], folder=downloads)
    for archive in downloads.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(archive), str(unpacked)])
    shutil.rmtree(downloads)
    shutil.rmtree(tree, ignore_errors=True)
    unpacked.rename(tree)  # a tree that exists is complete


def _lists_that_know(package: str) -> Sequence[str]:
    system: list[str] = []
    if _knows(system, package):
        return system
    for part in ("state/lists/partial", "cache/archives/partial"):
        (_PRIVATE_LISTS / part).mkdir(parents=True, exist_ok=True)
    private = [
        *("-o", f"Dir::State={_PRIVATE_LISTS / 'state'}", "-o", "Dir::State::status=/var/lib/dpkg/status"),
        *("-o", f"Dir::Cache={_PRIVATE_LISTS / 'cache'}"),
    ]
    _apt([*private, "update"])
    if not _knows(private, package):
        raise DebianPackagesError(f"the package sources of this machine have no {package}")
    return private


def _knows(options: Sequence[str], package: str) -> bool:
    shown = subprocess.run(["apt-cache", *options, "show", package], capture_output=True, check=False)
    return shown.returncode == 0 and bool(shown.stdout.strip())


def _apt(arguments: Sequence[str], folder: Path | None = None) -> str:
    return _run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", *arguments], folder)


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DebianPackagesError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
