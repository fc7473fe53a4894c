"""The command `./run test`."""

import os
import sys
from pathlib import Path

import typer

MOST_WORKERS = 4
"""Processes that share the whole suite; each has a PostgreSQL and a RabbitMQ of its own. A part of it runs in one."""


def test(context: typer.Context) -> None:
    """Run the tests; arguments go to pytest (--full runs those that take long, too)."""
    whole = not any(Path(argument.partition("::")[0]).exists() for argument in context.args)
    workers = min(os.cpu_count() or 1, MOST_WORKERS) if whole else 0
    options = ["--durations=20", f"--numprocesses={workers}", "--no-loadscope-reorder"]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *options, *context.args])
