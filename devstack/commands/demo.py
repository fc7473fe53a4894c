"""The command `./run demo`."""

from typing import Annotated

import typer
from rich.console import Console

from devstack.demo import show
from devstack.endpoints import Endpoints, print_addresses
from devstack.paths import STACK
from devstack.single import held
from devstack.stack import Stack
from devstack.steps import Steps

_FOLDER = STACK / "demo"


def demo(
    *,
    stay: Annotated[bool, typer.Option("--stay", help="Keep everything running at the end, until Ctrl-C.")] = False,
    seconds: Annotated[float, typer.Option(help="How long the orders may take.")] = 60,
) -> None:
    """Start everything from nothing, place orders, show what becomes of them, and stop it all."""
    console = Console()
    with held(STACK / "demo.lock", busy="a demo is running already"), Stack(_FOLDER, throwaway=True) as stack:
        with Steps(console) as steps:
            endpoints = stack.start(steps)
        endpoints.write(_FOLDER / "endpoints.json")
        ok = _show(console, stack, endpoints, seconds)
        if stay:
            console.print("\nEverything keeps running until Ctrl-C.")
            stack.watch()
    if not ok:
        raise typer.Exit(1)


def _show(console: Console, stack: Stack, endpoints: Endpoints, seconds: float) -> bool:
    print_addresses(endpoints, console)
    ok = show(endpoints, console, seconds=seconds, check=stack.check)
    print_addresses(endpoints, console)
    console.print("These end with the demo. To keep a stack running: ./run up")
    if not ok:
        console.print(f"The logs of all processes: {stack.logs}")
    return ok
