"""Children that do not outlive this process, however it ends.

On Linux the kernel signals a child when its parent dies (PR_SET_PDEATHSIG). Two traps make this a module of its own:
the signal comes when the *thread* that started the child ends, so one thread that lives as long as the process starts
them all; and a change of user clears the setting, so it is made after that, right ahead of exec. It survives exec, so a
chain of scripts that exec each other is covered; what the child forks must notice the child's end by itself.
"""

import ctypes
import os
import queue
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from devstack.unprivileged import Account

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    """What to start. `signal_on_death` is what the kernel sends it when this process dies, on Linux."""

    command: Sequence[str | Path]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    account: Account | None = None
    signal_on_death: signal.Signals = signal.SIGKILL
    open_files: int | None = None
    """How many files it may have open at once, as far as the hard limit goes; None inherits ours, often 1,024."""


def spawn(program: Program) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, so that Ctrl-C reaches only us and we stop things in order."""
    return _spawner.call(lambda: _popen(program))


def _popen(program: Program) -> subprocess.Popen[bytes]:
    account = program.account
    with program.log.open("ab") as log:
        return subprocess.Popen(
            [str(part) for part in program.command],
            env=dict(program.environment),
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_in_child(program),  # noqa: PLW1509 - system calls only, no locks taken
        )


def _in_child(program: Program) -> Callable[[], None]:
    libc, parent, sent = _libc, os.getpid(), int(program.signal_on_death)
    limit = _open_files(program.open_files) if program.open_files else None

    def prepare() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        if libc:
            libc.prctl(_PR_SET_PDEATHSIG, sent, 0, 0, 0)
            if os.getppid() != parent:  # the parent died before it could be watched
                os._exit(1)

    return prepare


def _open_files(wanted: int) -> tuple[int, int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    enough = soft == resource.RLIM_INFINITY or soft >= possible
    return (soft if enough else possible), hard


class _Spawner:
    """The thread that starts all children. A daemon: it ends with the process, never before."""

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self._wanted = queue.SimpleQueue()
        self._started = threading.Lock()
        self._thread: threading.Thread | None = None

    def call(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._started:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="spawner", daemon=True)
                self._thread.start()
        answer: Future[subprocess.Popen[bytes]] = Future()
        self._wanted.put((start, answer))
        return answer.result()

    def _serve(self) -> None:
        while True:
            start, answer = self._wanted.get()
            try:
                answer.set_result(start())
            except BaseException as failure:  # noqa: BLE001 - raised again in the thread that asked
                answer.set_exception(failure)


_spawner = _Spawner()
