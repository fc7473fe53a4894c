"""The command `./run test`."""

import os
import sys

import typer


def test(context: typer.Context) -> None:
    """Run the tests; arguments go to pytest (--full runs those that take long, too)."""
    os.execv(sys.executable, [sys.executable, "-m", "pytest", "--durations=20", *context.args])
