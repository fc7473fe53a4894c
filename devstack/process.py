"""One supervised child: started, waited for until it answers, stopped by signal, with its log at hand."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable

from devstack.errors import NotReadyError, StackError
from devstack.spawning import Program, spawn

_POLL_SECONDS = 0.05


class Process:
    """A program that runs until it is stopped. It is never restarted: whoever supervises sees that it ended."""

    def __init__(self, name: str, program: Program) -> None:
        self.name = name
        self.program = program
        self._child: subprocess.Popen[bytes] | None = None
        self._asked = False

    @property
    def pid(self) -> int:
        """The process id; of the server itself, since start scripts exec it."""
        return self._started().pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._child.poll() if self._child else None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def launch(self) -> None:
        """Start it, and do not wait."""
        if self.running:
            raise StackError(f"{self.name} is running already")
        self.program.log.parent.mkdir(parents=True, exist_ok=True)
        self._child, self._asked = spawn(self.program), False

    def wait_ready(self, answers: Callable[[], bool], *, seconds: float) -> None:
        """Return once `answers` is true. Raises NotReadyError, with the log's end, if it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not answers():
            if not self.running:
                raise NotReadyError(
                    f"{self.name} ended with status {self.returncode} before it was ready{self.log_end()}"
                )
            if time.monotonic() > deadline:
                raise NotReadyError(f"{self.name} was not ready within {seconds:.0f} s{self.log_end()}")
            time.sleep(_POLL_SECONDS)

    def wait(self, *, seconds: float) -> int:
        """Wait for its end and return its status."""
        try:
            return self._started().wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotReadyError(f"{self.name} had not ended within {seconds:.0f} s{self.log_end()}") from None

    def ask_to_end(self, sent: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, once, and do not wait, so that several can end side by side."""
        if self._child and self.running and not self._asked:
            self._asked = True
            self._child.send_signal(sent)

    def stop(self, sent: signal.Signals = signal.SIGTERM, *, seconds: float = 10) -> None:
        """Ask it to end, and end it after `seconds`. Returns when it and its process group are gone."""
        if self._child is None:
            return
        self.ask_to_end(sent)
        with contextlib.suppress(subprocess.TimeoutExpired):  # then the next line ends it
            self._child.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL, to it and to what it left in its process group."""
        if self._child is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone; macOS says the latter of zombies
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._child = None

    def log_end(self, lines: int = 25) -> str:
        """Return the last lines of its log, indented, to end an error message with."""
        log = self.program.log
        if not log.exists():
            return ""
        last = log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"; the end of {log}:", *(f"    {line}" for line in last)])

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise StackError(f"{self.name} was not started")
        return self._child
