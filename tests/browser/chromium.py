"""A Chromium to test with: the machine's, else Debian's package in a private tree, without root and without a trace."""

import fcntl
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from devstack.errors import StackError
from devstack.paths import DOWNLOADS
from devstack.servers import debian_packages

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_TREE = DOWNLOADS / "chromium-packages"
_WANTED = r"(?!(libc6|libc-bin|libgl1-mesa-dri|libllvm\d+|libz3-4|systemd)$)"
"""All that the machine lacks, without what drives graphics cards, and never another C library than it runs on."""
_LIBRARIES = ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib/*-linux-gnu*/pulseaudio")
_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>{tree}/usr/share/fonts</dir><cachedir>{tree}/cache</cachedir></fontconfig>
"""
"""The machine's fonts, too: packages that it has are not unpacked again, and without a font no text is shown."""
ARGUMENTS = (
    "--no-sandbox",  # root has none, nor have many containers; it visits our own pages only
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@dataclass(frozen=True)
class Chromium:
    """The program, and what its environment must hold besides ours."""

    program: Path
    environment: dict[str, str] = field(default_factory=dict[str, str])


def find_chromium() -> Chromium:
    """Find one or fetch it. Raises StackError where that is impossible."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return Chromium(Path(found)) if found else _private()


def _private() -> Chromium:
    if not debian_packages.available():
        raise StackError("there is no Chromium on this machine, and no apt-get to fetch one with")
    DOWNLOADS.mkdir(exist_ok=True)
    with (DOWNLOADS / "chromium-packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _TREE.exists():
            debian_packages.unpack_with_dependencies("chromium", _TREE, wanted=_WANTED)
    fonts = _TREE / "fonts.conf"
    fonts.write_text(_FONTS.format(tree=_TREE))
    libraries = [str(folder) for pattern in _LIBRARIES for folder in _TREE.glob(pattern)]
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(libraries), "FONTCONFIG_FILE": str(fonts)}
    return Chromium(_TREE / "usr/lib/chromium/chromium", environment)
