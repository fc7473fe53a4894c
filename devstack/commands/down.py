"""The command `./run down`."""

import os
import signal

from devstack.errors import StackError
from devstack.paths import STACK
from devstack.single import holder, wait_released

UP_LOCK = STACK / "up.lock"
_SECONDS = 90


def down() -> None:
    """End the stack that ./run up keeps running. Its data is kept."""
    supervisor = holder(UP_LOCK)
    if supervisor is None:
        print("Nothing is up.")
        return
    os.kill(supervisor, signal.SIGTERM)
    if not wait_released(UP_LOCK, seconds=_SECONDS):
        raise StackError(f"process {supervisor} did not end within {_SECONDS} s")
    print("Stopped.")
