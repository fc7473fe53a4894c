"""One supervisor at a time: a lock that its holder's death releases, with the holder's process id in it."""

import fcntl
import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from devstack.errors import StackError

_POLL_SECONDS = 0.1


@contextmanager
def held(path: Path, *, busy: str) -> Generator[None]:
    """Hold the lock for the block. Raises StackError with `busy`, and who holds it, if somebody does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        if not any(_try_lock(file) for _ in _tries()):
            raise StackError(f"{busy} (process {holder(path)})")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(path: Path) -> int | None:
    """Return the process id of who holds the lock; None if nobody does."""
    try:
        with path.open("r+") as file:
            if _try_lock(file):
                return None
            return int(file.read() or 0) or None
    except FileNotFoundError:
        return None


def wait_released(path: Path, *, seconds: float) -> bool:
    """Wait until nobody holds the lock; tell whether that came true in time."""
    deadline = time.monotonic() + seconds
    while holder(path) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _tries() -> Iterator[int]:
    """Try for a moment: whoever asks for the holder holds the lock himself for an instant."""
    for number in range(5):
        if number:
            time.sleep(_POLL_SECONDS / 2)
        yield number


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
