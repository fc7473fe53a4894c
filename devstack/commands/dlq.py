"""The command `./run dlq`."""

import os
import sys

import typer

from devstack.endpoints import read_endpoints
from devstack.paths import CHECKOUT


def dlq(context: typer.Context) -> None:
    """Dead letters of the stack that is up: list, groups, show, replay, discard (`./run dlq replay --help`)."""
    arguments = context.args or ["--help"]
    environment = dict(os.environ)
    if "--help" not in arguments and "OPERATIONS_URL" not in environment:
        endpoints = read_endpoints()
        environment |= {"OPERATIONS_URL": endpoints.control_room, "OPERATIONS_KEY": endpoints.api_keys["operator"]}
    os.chdir(CHECKOUT)
    os.execve(sys.executable, [sys.executable, "-m", "operations", "dlq", *arguments], environment)
