"""The command `./run top`."""

import os
import sys

import typer

from devstack.paths import CHECKOUT


def top(context: typer.Context) -> None:
    """Watch queues, rates, latency, retries, dead letters, outboxes and replicas (--once, --json, --all, --help)."""
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "devstack.top", *context.args])
