"""Look at processes that are not our children: who descends from whom, and whether all of them are gone."""

import re
import time
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """Return the processes below this one; a zombie counts as gone."""
    parents = {child: parent for child, (parent, state) in _all().items() if state != "Z"}
    found: set[int] = set()
    while new := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= new
    return found


def gone(pids: set[int], *, seconds: float) -> bool:
    """Wait until none of these processes runs; tell whether that came true in time."""
    deadline = time.monotonic() + seconds
    while any(pid in pids and state != "Z" for pid, (_, state) in _all().items()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def command(pid: int) -> str:
    """Return a process's command line; nothing if it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _all() -> dict[int, tuple[int, str]]:
    """Return each process's parent and state."""
    found: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields := re.search(r"\) (\S) (\d+)", stat):
            found[int(folder.name)] = (int(fields[2]), fields[1])
    return found
