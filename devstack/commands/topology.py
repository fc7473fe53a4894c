"""The command `./run topology`."""

import typer

from devstack.messaging_jobs import hand_over


def topology(context: typer.Context) -> None:
    """Plan what the broker of the stack that is up lacks (plan), or give it that (apply)."""
    hand_over("topology", *context.args)
