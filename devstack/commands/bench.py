"""The command `./run bench`."""

import os
import sys

import typer

from devstack.paths import CHECKOUT


def bench(context: typer.Context) -> None:
    """Measure our pipeline beside others on the same servers (--short, --only, --compare, --help)."""
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *context.args])
