"""`python -m benchmarks.load`, which `./run load` hands over to."""

import random
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.load.run import LoadRun, Plan
from benchmarks.load.shapes import SHAPES, ShapeName
from benchmarks.load.summary import print_summary
from devstack.commands.down import UP_LOCK
from devstack.endpoints import Endpoints, read_endpoints
from devstack.entry import enter
from devstack.environments import python_with
from devstack.paths import STACK
from devstack.single import held, holder
from devstack.stack import Stack
from devstack.steps import Steps

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

FOLDER = STACK / "load"
SAYS = "; ".join(f"{name}: {shape.says}" for name, shape in SHAPES.items())
UNLIMITED = {"ORDER_API_RATE_LIMIT": "100000/second"}
"""All customers come with one key."""


@app.command()
def load(
    shape: Annotated[ShapeName, typer.Option(help=f"How many come when. {SAYS}.")] = ShapeName.STEADY,
    users: Annotated[
        int | None, typer.Option(min=1, help="Customers, at the most.", show_default="by shape: 16, 48, 16")
    ] = None,
    seconds: Annotated[
        int | None, typer.Option(min=5, help="How long they come.", show_default="by shape: 60, 90, 1800")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same number makes the same customers.", show_default="another each time")
    ] = None,
) -> None:
    """Have customers browse, order, watch, cancel and send requests twice; then see what became of every order.

    At the stack that ./run up keeps running; if none is up, at one that is started for it and stopped afterwards. The
    status is 1 if an order was lost, did not end or ended wrong, a request failed, or a message was left over. Locust's
    report is in .stack/load/report.html. More: docs/howto/load-test.md.
    """
    console, usual = Console(), SHAPES[shape]
    plan = Plan(
        shape,
        users=users or usual.users,
        seconds=seconds or usual.seconds,
        seed=random.SystemRandom().randrange(2**32) if seed is None else seed,
    )
    with ExitStack() as ending:
        ending.enter_context(held(STACK / "load.lock", busy="a load is running already"))
        with Steps(console) as steps:
            with steps.step("Locust and its packages"):
                python_with("load")
            endpoints, check = stack_for(steps, ending)
        run = LoadRun(endpoints, plan, FOLDER, console)
        told = f"{shape}: up to {plan.users} customers for {plan.seconds} s at {endpoints.api}, seed {plan.seed}"
        console.print(told, highlight=False, soft_wrap=True)
        outcome = run.run(check)
        print_summary(outcome, run.deepest, console)
        console.print(f"Locust's report: {run.report}", soft_wrap=True, highlight=False)
    if outcome.complaints:
        raise typer.Exit(1)


def stack_for(steps: Steps, ending: ExitStack) -> tuple[Endpoints, Callable[[], None]]:
    """The stack that is up, or one of the run's own; and what raises when it has fallen."""
    if holder(UP_LOCK):
        return read_endpoints(), lambda: None
    folder = FOLDER / "stack"
    shutil.rmtree(folder, ignore_errors=True)
    stack = ending.enter_context(Stack(folder, extra_environment=UNLIMITED))
    return stack.start(steps), stack.check


if __name__ == "__main__":
    enter(app, "./run load")
