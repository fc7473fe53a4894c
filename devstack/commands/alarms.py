"""The command `./run alarms`."""

import os
import sys

import typer

from devstack.paths import CHECKOUT


def alarms(context: typer.Context) -> None:
    """Write alarms, dashboard and runbooks' lists anew from the AsyncAPI document (--check, --help)."""
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "devstack.alarms", *context.args])
