"""The command `./run contracts`."""

import os
import sys

import typer

from devstack.services import SERVICES

_SETTINGS = tuple(f"{service.upper()}_" for service in SERVICES)


def contracts(context: typer.Context) -> None:
    """Compare the events with the last release's (diff), or record messages to read them with new code (record)."""
    defaults = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    os.execve(sys.executable, [sys.executable, "-m", "devstack.contracts", *context.args], defaults)
