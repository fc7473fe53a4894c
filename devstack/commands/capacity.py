"""The command `./run capacity`."""

import os

import typer

from devstack.environments import python_with
from devstack.paths import CHECKOUT


def capacity(context: typer.Context) -> None:
    """Forecast queues and latency for a rate, a spike or an outage, from measured costs (--check, --help)."""
    python = str(python_with("bench"))
    os.chdir(CHECKOUT)
    os.execv(python, [python, "-m", "benchmarks.capacity", *context.args])
