"""The command `./run assets`, and the same in the background of `./run up`."""

import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from rich.console import Console

from devstack.assets import ASSETS, install, installed
from devstack.paths import CHECKOUT

_COMMAND = (sys.executable, "-m", "devstack", "assets")


def assets() -> None:
    """Install what the pages /docs and /asyncapi/react are made with, from the npm registry; nothing else is needed."""
    install()
    print(f"Installed in {ASSETS.relative_to(CHECKOUT)}: /docs and /asyncapi/react of the order API show it.")


@contextmanager
def assets_in_background(console: Console, command: Sequence[str] = _COMMAND) -> Generator[Callable[[], None]]:
    """Install them beside the block, which neither waits for it nor fails with it; what is yielded says how it went."""
    if installed():
        yield lambda: None
        return
    job = subprocess.Popen(
        command,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def tell() -> None:
        status = job.poll()
        if status is None:
            console.print("The viewers of /docs and /asyncapi/react are still being installed.")
        elif status != 0:
            console.print("The viewers of /docs and /asyncapi/react could not be installed; ./run assets says why.")

    try:
        yield tell
    finally:
        job.terminate()
        job.wait()
