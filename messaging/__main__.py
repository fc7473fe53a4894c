"""`python -m messaging`: the jobs that run before the services."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from messaging import declare, migrations
from messaging.asyncapi import reading

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Jobs that run before the services.")
topology_app = typer.Typer(no_args_is_help=True, help="The exchanges and queues on the broker.")
app.add_typer(topology_app, name="topology")


@app.command()
def migrate(service: Annotated[str, typer.Argument(help="Its package, for example payment.")]) -> None:
    """Bring a service's database, <SERVICE>_DATABASE_URL, to its newest schema."""
    variable = f"{service.upper()}_DATABASE_URL"
    url = os.environ.get(variable)
    if not url:
        raise typer.BadParameter(f"{variable} is not set", param_hint=variable)
    migrations.migrate(service, url)
    typer.echo(f"{service}: database is at its newest schema")


@topology_app.command()
def apply(
    amqp_url: Annotated[str, typer.Option(envvar="AMQP_URL", help="Where RabbitMQ is.")],
    path: Annotated[Path, typer.Option("--document", help="The AsyncAPI document.")] = reading.DOCUMENT,
    tiers: Annotated[str, typer.Option(envvar="RETRY_TIERS", help="Other retry delays, for example 1s,5s.")] = "",
) -> None:
    """Declare what the document describes."""
    wanted = reading.read_topology(path)
    if tiers:
        wanted = wanted.with_tiers([tier.strip() for tier in tiers.split(",")])
    asyncio.run(declare.apply(wanted, amqp_url))
    typer.echo(
        f"topology: {len(wanted.exchanges)} exchanges, {len(wanted.queues)} queues, {len(wanted.bindings)} bindings"
    )


if __name__ == "__main__":
    app()
