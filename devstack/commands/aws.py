"""The command `./run aws`."""

import os
import sys

import typer

from devstack.paths import CHECKOUT


def aws(context: typer.Context) -> None:
    """Say what the CloudFormation templates of deploy/aws would make, and about what it costs (plan, --help)."""
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "devstack.aws", *context.args])
