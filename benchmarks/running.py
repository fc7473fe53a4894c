"""Runs a contender's parts for as long as a block takes."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

from benchmarks.contender import Contender, Part
from devstack.paths import CHECKOUT
from devstack.process import Process
from devstack.spawning import Program

READY_SECONDS = 60
STOP_SECONDS = 10


@contextmanager
def running(contender: Contender, parts: Sequence[Part], logs: Path) -> Generator[list[Process]]:
    """Start all parts; the block begins when each is ready. Raises StackError, with the log's end, if one is not."""
    processes = [_process(part, logs / f"{contender.name}.{part.name}.log") for part in parts]
    try:
        for process in processes:
            process.program.log.unlink(missing_ok=True)
            process.launch()
        for process, part in zip(processes, parts, strict=True):
            log = process.program.log
            process.wait_ready(lambda part=part, log=log: _ready(part, log), seconds=READY_SECONDS)
        yield processes
    finally:
        stop(processes)


def stop(processes: Sequence[Process]) -> None:
    """End them side by side."""
    for process in processes:
        process.ask_to_end()
    for process in processes:
        process.stop(seconds=STOP_SECONDS)


def _process(part: Part, log: Path) -> Process:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **part.environment}
    return Process(part.name, Program(part.command, environment, CHECKOUT, log))


def _ready(part: Part, log: Path) -> bool:
    if part.ready_line:
        return log.exists() and part.ready_line in log.read_text(errors="replace")
    try:
        return httpx2.get(part.ready_url, timeout=5).is_success
    except httpx2.TransportError:
        return False
