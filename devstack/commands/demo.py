"""The command `./run demo`."""

from collections import Counter
from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console

from devstack.demo import place_and_follow, queue_depths, tell, tell_poison
from devstack.endpoints import Endpoints, print_addresses
from devstack.orders import OrderApi
from devstack.paths import STACK
from devstack.poison import publish_poison
from devstack.queues import queues
from devstack.scenarios import DEMO
from devstack.single import held
from devstack.stack import Stack
from devstack.steps import Steps
from operations.cli.client import ControlRoom

_FOLDER = STACK / "demo"
_POISON_SECONDS = 10


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
    with closing(OrderApi(endpoints.api, endpoints.api_keys["client"])) as api:
        runs = place_and_follow(api, DEMO, console, seconds=seconds, check=stack.check)
    with closing(ControlRoom(endpoints.control_room, endpoints.api_keys["operator"])) as control_room:
        poison = publish_poison(endpoints.amqp, control_room, seconds=_POISON_SECONDS)
        in_custody = Counter(letter["queue"] for letter in control_room.get("/dead-letters")["dead_letters"])
    for run in runs:
        tell(run, console)
    tell_poison(poison, console)
    if endpoints.rabbitmq_management:
        console.print(queue_depths(queues(endpoints.amqp, endpoints.rabbitmq_management), in_custody))
    good = sum(run.as_expected for run in runs)
    ok = good == len(runs) and poison is not None
    console.print(f"\n[{'green' if ok else 'red'}]{good} of {len(runs)} orders ended as they should.[/]")
    print_addresses(endpoints, console)
    console.print("These end with the demo. To keep a stack running: ./run up")
    if not ok:
        console.print(f"The logs of all processes: {stack.logs}")
    return ok
