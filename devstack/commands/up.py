"""The command `./run up`."""

import subprocess
import sys
import time
from typing import Annotated

import typer
from rich.console import Console

from devstack.commands.assets import assets_in_background
from devstack.commands.down import UP_LOCK
from devstack.endpoints import print_addresses, read_endpoints
from devstack.errors import StackError
from devstack.paths import CHECKOUT, ENDPOINTS, STACK
from devstack.single import held, holder
from devstack.stack import Stack
from devstack.steps import Steps
from devstack.tail import Tail

_FOLDER = STACK / "up"
_LOG = STACK / "up.log"
_START_SECONDS = 300


def up(
    *,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once it is ready, and leave it running.")
    ] = False,
) -> None:
    """Start servers and services and keep them running; Ctrl-C or ./run down ends them. Data is kept in .stack/up."""
    console = Console()
    if detach:
        _detach(console)
        return
    with (
        held(UP_LOCK, busy="the stack is up already"),
        Stack(_FOLDER) as stack,
        assets_in_background(console) as tell_of_assets,
    ):
        ENDPOINTS.unlink(missing_ok=True)
        with Steps(console) as steps:
            endpoints = stack.start(steps)
        endpoints.write()
        try:
            print_addresses(endpoints, console)
            tell_of_assets()
            console.print(f"These are in {ENDPOINTS} too. Place an order: ./run order MUG-01\n")
            stack.watch(Tail(stack.logs, console).print_new)
        finally:
            ENDPOINTS.unlink(missing_ok=True)


def _detach(console: Console) -> None:
    if running := holder(UP_LOCK):
        raise StackError(f"the stack is up already (process {running})")
    ENDPOINTS.unlink(missing_ok=True)
    STACK.mkdir(parents=True, exist_ok=True)
    with _LOG.open("w") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "devstack", "up"],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    with console.status("Starting the stack ..."):
        while not ENDPOINTS.exists():
            if supervisor.poll() is not None:
                raise StackError(f"the stack did not start:\n{_LOG.read_text()}")
            if time.monotonic() > deadline:
                supervisor.terminate()
                supervisor.wait()
                raise StackError(f"the stack was not ready within {_START_SECONDS} s; see {_LOG}")
            time.sleep(0.1)
    print_addresses(read_endpoints(), console)
    console.print(f"Running in the background (process {supervisor.pid}, log {_LOG}). End it: ./run down")
