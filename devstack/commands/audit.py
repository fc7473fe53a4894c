"""The command `./run audit`."""

import os
import sys

import typer

from devstack.endpoints import read_endpoints
from devstack.paths import CHECKOUT


def audit(context: typer.Context) -> None:
    """Do money, stock and messages add up? Reads all databases of the stack that is up (--database, --json, --help)."""
    environment = dict(os.environ)
    if not any(argument.partition("=")[0] in {"--help", "--database"} for argument in context.args):
        databases = read_endpoints().databases
        environment |= {f"OPERATIONS_AUDIT_DATABASES__{service.upper()}": url for service, url in databases.items()}
    os.chdir(CHECKOUT)
    os.execve(sys.executable, [sys.executable, "-m", "operations", "audit", *context.args], environment)
