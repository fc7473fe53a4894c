"""`python -m messaging`: the jobs around the services: databases, topology, and whether the broker is as documented."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from messaging import declare, migrations
from messaging import verify as verification
from messaging.asyncapi import reading
from messaging.management import ManagementUnavailable, read_broker, virtual_host
from messaging.topology import Topology

AmqpUrl = Annotated[str, typer.Option(envvar="AMQP_URL", help="Where RabbitMQ is, with the virtual host.")]
ManagementUrl = Annotated[
    str, typer.Option(envvar="RABBITMQ_MANAGEMENT_URL", help="Its management API: http://user:password@host:15672.")
]
Document = Annotated[Path, typer.Option("--document", help="The AsyncAPI document.")]
Tiers = Annotated[str, typer.Option(envvar="RETRY_TIERS", help="Other retry delays, for example 1s,5s.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Jobs around the services.")
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


@app.command()
def verify(  # noqa: PLR0913 - each is an option of the command line
    *,
    amqp_url: AmqpUrl,
    management_url: ManagementUrl,
    path: Document = reading.DOCUMENT,
    tiers: Tiers = "",
    before_services: Annotated[
        bool, typer.Option("--before-services", help="Expect no consumers yet: a gate ahead of the services.")
    ] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait until nothing differs.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Report for programs.")] = False,
) -> None:
    """Compare a live broker with the document; status 1 if anything is missing, besides, or different."""
    wanted = _wanted(path, tiers)
    consumers = None if before_services else reading.consumers_of(reading.load(path))

    async def look() -> list[verification.Drift]:
        live = await read_broker(management_url, virtual_host(amqp_url))
        return verification.compare(wanted, live, consumers)

    try:
        drifts = asyncio.run(verification.until_clean(look, wait))
    except ManagementUnavailable as failure:
        Console(stderr=True).print(f"the management API: {failure}", style="red", highlight=False)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(verification.as_json(drifts))
    else:
        verification.report(drifts, wanted, Console())
    raise typer.Exit(1 if drifts else 0)


@topology_app.command()
def apply(amqp_url: AmqpUrl, path: Document = reading.DOCUMENT, tiers: Tiers = "") -> None:
    """Declare what the document describes."""
    wanted = _wanted(path, tiers)
    asyncio.run(declare.apply(wanted, amqp_url))
    typer.echo(
        f"topology: {len(wanted.exchanges)} exchanges, {len(wanted.queues)} queues, {len(wanted.bindings)} bindings"
    )


def _wanted(path: Path, tiers: str) -> Topology:
    documented = reading.read_topology(path)
    return documented.with_tiers([tier.strip() for tier in tiers.split(",")]) if tiers else documented


if __name__ == "__main__":
    app()
