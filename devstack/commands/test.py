"""The command `./run test`."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

MOST_WORKERS = 4
"""Processes that share the whole suite; each has a PostgreSQL and a RabbitMQ of its own. A part of it runs in one."""


class StackName(StrEnum):
    """What tests can be run against, beside private servers and processes."""

    COMPOSE = "compose"
    CLUSTER = "cluster"


OF_A_STACK = {
    StackName.COMPOSE: ["tests/e2e", "tests/broker", "tests/stack", "tests/aws"],
    StackName.CLUSTER: ["tests/cluster"],
}
"""What is run against it, unless arguments name something else."""


def test(
    context: typer.Context,
    *,
    stack: Annotated[
        StackName | None, typer.Option(help="Run tests against containers: the composed system, or a cluster.")
    ] = None,  # noqa: PT028 - no test, but the command of that name
) -> None:
    """Run the tests; arguments go to pytest (--full runs those that take long, too)."""
    whole = not any(Path(argument.partition("::")[0]).exists() for argument in context.args)
    workers = min(os.cpu_count() or 1, MOST_WORKERS) if whole and not stack else 0
    options = ["--durations=20", f"--numprocesses={workers}", "--no-loadscope-reorder"]
    if stack:  # one worker, as there is one composed system
        options += [f"--stack={stack}", *(OF_A_STACK[stack] if whole else [])]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *options, *context.args])
