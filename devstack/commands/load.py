"""The command `./run load`."""

import os
import sys

import typer

from devstack.paths import CHECKOUT


def load(context: typer.Context) -> None:
    """Have customers order for a while, and see what became of every order (--shape, --users, --seconds, --help)."""
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "benchmarks.load", *context.args])
