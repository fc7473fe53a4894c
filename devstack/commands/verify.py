"""The command `./run verify`."""

import typer

from devstack.messaging_jobs import hand_over


def verify(context: typer.Context) -> None:
    """Compare the broker of the stack that is up with asyncapi/asyncapi.json (--json, --gauge, --wait …)."""
    hand_over("verify", *context.args)
