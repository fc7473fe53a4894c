"""The command `./run faults`. What it does lives with the tests, which nothing here may import."""

import os
import sys

import typer


def faults(context: typer.Context) -> None:
    """Do faults to a system of its own under load, and report what was lost (--help says more)."""
    os.execv(sys.executable, [sys.executable, "-m", "tests.faults", *context.args])
