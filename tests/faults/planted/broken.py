"""A running system with bugs planted in some services, and with crashes that bring them out."""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from typing_extensions import override

from devstack.process import Process
from devstack.services import Wiring
from tests.broker.rabbit import until
from tests.e2e.system import System

CRASHING = 30.0
"""Seconds in which a planned crash must have come."""
LAUNCHER = "tests.faults.planted.launch"


@dataclass
class Broken(System):
    """The services as processes; `bugs` and `crashes` go by service."""

    bugs: Mapping[str, str] = field(default_factory=dict[str, str])
    """What is planted (see `launch`), with commas between."""
    crashes: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """What ends its process, life after life: a point for CRASH_AT, or the name of what is planted to kill it."""
    deaths: dict[str, int] = field(default_factory=dict[str, int])
    """How often each was killed so far."""

    @override
    def process(self, name: str, wiring: Wiring, logs: Path) -> Process:
        made = super().process(name, wiring, logs)
        bugs, environment = self.bugs.get(name, ""), dict(made.program.environment)
        if lives := self.crashes.get(name, ())[self.deaths.get(name, 0) :]:
            if lives[0].startswith("kernel."):
                bugs = f"{bugs},{lives[0]}"
            else:
                environment["CRASH_AT"] = lives[0]
        _, _, *program = made.program.command
        command = [sys.executable, "-m", LAUNCHER, bugs, *program] if bugs else made.program.command
        return Process(name, replace(made.program, command=command, environment=environment))

    async def keep_alive(self) -> None:
        """Start each service again when it was killed, until all planned crashes have come; fails if one does not."""
        async with asyncio.TaskGroup() as keepers:
            for process in list(self.running):
                keepers.create_task(self._keep(process))

    async def _keep(self, process: Process) -> None:
        for _ in self.crashes.get(process.name, ()):
            await until(lambda: _ended(process), CRASHING)
            assert process.returncode == -signal.SIGKILL, f"{process.name}{process.log_end()}"
            self.deaths[process.name] = self.deaths.get(process.name, 0) + 1
            assert self.narrow is not None
            process.program = self.process(process.name, self.narrow, self.folder).program
            await self.restart(process)


async def _ended(process: Process) -> bool:
    return not process.running
