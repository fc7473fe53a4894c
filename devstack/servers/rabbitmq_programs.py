"""Where RabbitMQ's programs are: the system's, Homebrew's, or a private tree of Debian's packages.

The packages' own `rabbitmq-server` in /usr/sbin insists on root, so the scripts it wraps are called directly.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from devstack.errors import StackError
from devstack.paths import DOWNLOADS
from devstack.servers import debian_packages

_TREE = DOWNLOADS / "rabbitmq-packages"
_SCRIPTS = "lib/rabbitmq/lib/rabbitmq_server-*/sbin"
_HOMEBREW = (Path("/opt/homebrew"), Path("/usr/local"))
_WAYS_OUT = """\
No RabbitMQ could be had: {reason}
Ways out:
  - install it: apt-get install rabbitmq-server (Debian, Ubuntu), brew install rabbitmq (macOS)
  - name a server of yours: ORDERS_AMQP_URL=amqp://user:password@host:5672/ and
    ORDERS_RABBITMQ_MANAGEMENT_URL=http://user:password@host:15672
  - docker compose up, with the compose.yml of this folder"""


@dataclass(frozen=True)
class RabbitPrograms:
    """The folder of RabbitMQ's scripts, and what their environment must hold to find Erlang."""

    scripts: Path
    environment: dict[str, str]
    epmd: Path


@cache
def rabbitmq_programs() -> RabbitPrograms:
    """Return the machine's RabbitMQ; fetches a private one if it has none."""
    return _installed() or _private()


def _installed() -> RabbitPrograms | None:
    scripts = [*Path("/usr").glob(_SCRIPTS), *(brew / "opt/rabbitmq/sbin" for brew in _HOMEBREW)]
    for folder in scripts:
        path = os.pathsep.join([*(f"{brew}/opt/erlang/bin" for brew in _HOMEBREW), os.environ.get("PATH", "")])
        epmd = shutil.which("epmd", path=path)
        if (folder / "rabbitmq-server").exists() and epmd:
            return RabbitPrograms(folder, {"PATH": path}, Path(epmd))
    return None


def _private() -> RabbitPrograms:
    if not debian_packages.available():
        raise StackError(_WAYS_OUT.format(reason="this machine has none, and no apt-get to fetch one with"))
    with _one_at_a_time():
        if not _TREE.exists():
            try:
                debian_packages.unpack_with_dependencies(
                    "rabbitmq-server", _TREE, wanted="erlang-|rabbitmq-server$|lib"
                )
            except debian_packages.DebianPackagesError as failure:
                raise StackError(_WAYS_OUT.format(reason=failure)) from failure
            _make_relocatable(_TREE / "usr/lib/erlang/bin/erl")
    scripts = next((_TREE / "usr").glob(_SCRIPTS), None)
    erlang = _TREE / "usr/lib/erlang"
    epmd = next(erlang.glob("erts-*/bin/epmd"), None)
    if not scripts or not epmd:
        raise StackError(f"{_TREE} is incomplete: remove it and run this again")
    libraries = [str(folder) for folder in (_TREE / "usr/lib").glob("*-linux-gnu*")]
    path = os.pathsep.join([str(erlang / "bin"), os.environ.get("PATH", "/usr/bin:/bin")])
    return RabbitPrograms(scripts, {"PATH": path, "LD_LIBRARY_PATH": os.pathsep.join(libraries)}, epmd)


def _make_relocatable(erl: Path) -> None:
    """Let the script find Erlang from where it is itself, so that a checkout can be moved."""
    here = '"$(cd "$(dirname "$0")/.." && pwd)"'
    patched = re.sub(r"^(\s*)ROOTDIR=/usr/lib/erlang$", rf"\1ROOTDIR={here}", erl.read_text(), flags=re.MULTILINE)
    erl.write_text(patched)


@contextmanager
def _one_at_a_time() -> Generator[None]:
    """Let test workers and commands that start together fetch it once."""
    DOWNLOADS.mkdir(exist_ok=True)
    with (DOWNLOADS / "rabbitmq-packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
