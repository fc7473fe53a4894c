"""The command `./run keys`."""

import os
import sys

import typer

from devstack.endpoints import read_endpoints
from devstack.paths import CHECKOUT


def keys(context: typer.Context) -> None:
    """API keys of the stack that is up: create, list, revoke (`./run keys create --help`)."""
    arguments = context.args or ["--help"]
    environment = dict(os.environ)
    if "--help" not in arguments:
        environment["ORDER_API_DATABASE_URL"] = read_endpoints().databases["order_api"]
    os.chdir(CHECKOUT)
    os.execve(sys.executable, [sys.executable, "-m", "order_api", "keys", *arguments], environment)
