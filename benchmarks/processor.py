"""Processor time and memory of process trees, as Linux counts them."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def milliseconds(process: int) -> int:
    """Processor time of a process and of all that it started, ended ones among them."""
    try:
        own = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended: its time is its parent's now
        return 0
    return 1000 * sum(map(int, own[11:15])) // TICKS + sum(map(milliseconds, _children(process)))


def resident(process: int) -> int:
    """Memory of a process and of all that it started, in bytes: what each shares with others is counted in part."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    own = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return 1024 * own + sum(map(resident, _children(process)))


def _children(process: int) -> list[int]:
    try:
        return [
            int(child)
            for file in Path(f"/proc/{process}/task").glob("*/children")
            for child in file.read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []
