"""PostgreSQL refuses to run as root. Where we are root, it runs as `nobody`, from a folder that `nobody` can reach."""

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import StackError

_ACCOUNT = "nobody"
_ELSEWHERE = Path("/var/tmp")  # noqa: S108 - the folder made below it is ours alone, which is checked


@dataclass(frozen=True)
class Account:
    """Who a child runs as."""

    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Name the account to drop to; None where we are an ordinary user already."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(_ACCOUNT)
    return Account(entry.pw_uid, entry.pw_gid)


def reachable(folder: Path) -> bool:
    """Tell whether `nobody` may pass through this folder, where it exists, and every folder above it."""
    path = folder.resolve()
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents) if part.exists())


def reachable_folder(wanted: Path) -> Path:
    """Return `wanted`, or a stand-in below /var/tmp where `nobody` could not reach it (a checkout under /root, say)."""
    if os.geteuid() != 0 or reachable(wanted):
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted
    mark = hashlib.sha256(str(wanted.resolve()).encode()).hexdigest()[:12]
    home = _ELSEWHERE / f"faststream-orders-{os.geteuid()}"
    home.mkdir(mode=0o711, exist_ok=True)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StackError(f"{home} exists, but is not a folder that only this user can write: remove it")
    home.chmod(0o711)
    _remove_forsaken(home)
    (home / f"{mark}.origin").write_text(str(wanted.resolve().parent))
    folder = home / mark
    folder.mkdir(mode=0o711, exist_ok=True)
    folder.chmod(0o711)
    return folder


def _remove_forsaken(home: Path) -> None:
    """Remove stand-ins whose checkout or test folder is gone: a killed test could not discard its own."""
    for origin in home.glob("*.origin"):
        try:
            forsaken = not Path(origin.read_text() or "/").exists()
        except FileNotFoundError:  # another run was quicker
            continue
        if forsaken:
            shutil.rmtree(origin.with_suffix(""), ignore_errors=True)
            origin.unlink(missing_ok=True)
