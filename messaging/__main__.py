"""`python -m messaging`: the jobs around the services: databases, topology, and whether the broker is as documented."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from aio_pika.exceptions import AMQPException, ChannelPreconditionFailed
from rich.console import Console

from messaging import declare, erasure, migrations, plan, readers, resting
from messaging import verify as verification
from messaging.asyncapi import reading
from messaging.database import DatabaseUnavailable
from messaging.disclosure import in_a_line
from messaging.edge import AckLost, PublishFailed
from messaging.management import ManagementUnavailable, read_broker, virtual_host
from messaging.queue_move import Mover
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
def migrate(services: Annotated[list[str], typer.Argument(help="Their packages, for example payment.")]) -> None:
    """Bring services' databases, <SERVICE>_DATABASE_URL, to their newest schema."""
    for service in services:
        migrations.migrate(service, _database_url(service))
        typer.echo(f"{service}: database is at its newest schema")


@app.command("readers")
def let_read(
    services: Annotated[list[str], typer.Argument(help="Their packages, for example payment.")],
    role: Annotated[str, typer.Option(envvar="READER_ROLE", help="Its name.")] = readers.ROLE,
) -> None:
    """Let a role read services' databases, <SERVICE>_DATABASE_URL, and nothing else; harmless when repeated.

    READER_PASSWORD is its password: with it, the role is made if it is missing. Without it, the role must be there.
    """
    for service in services:
        try:
            asyncio.run(readers.grant_reading(_database_url(service), role, os.environ.get("READER_PASSWORD")))
        except ValueError as wrong:
            raise typer.BadParameter(str(wrong), param_hint="READER_PASSWORD") from None
        except LookupError as missing:
            raise typer.BadParameter(
                f"{missing}: give its password, to make it", param_hint="READER_PASSWORD"
            ) from None
        except readers.NoRight as refused:
            typer.echo(f"{service}: its user may not do that ({refused}).", err=True)
            typer.echo(f"As a user who may: CREATE ROLE {role} LOGIN. Then run this without READER_PASSWORD.", err=True)
            raise typer.Exit(1) from None
        except DatabaseUnavailable as away:
            typer.echo(f"{service}: its database does not answer ({away}). Try again.", err=True)
            raise typer.Exit(1) from None
        typer.echo(f"{service}: {role} may read")


@app.command()
def erase(services: Annotated[list[str], typer.Argument(help="Their packages, for example payment.")]) -> None:
    """Erase the personal data of orders in services' databases, <SERVICE>_DATABASE_URL; harmless when repeated.

    The orders' ids are read from standard input, one a line. The order API has a job of its own, which comes last:
    `python -m order_api erase finish`.
    """
    orders = _orders()
    for service in services:
        try:
            changed = asyncio.run(erasure.erase(_database_url(service), erasure.tables_of(service), orders))
        except LookupError as unknown:
            raise typer.BadParameter(str(unknown)) from None
        except DatabaseUnavailable as away:
            typer.echo(f"{service}: its database does not answer ({away}). Try again.", err=True)
            raise typer.Exit(1) from None
        typer.echo(f"{service}: rows erased: {changed}")


@app.command("erase-messages")
def erase_messages(*, amqp_url: AmqpUrl, path: Document = reading.DOCUMENT) -> None:
    """Erase the personal data of orders in parked and unrouted messages; harmless when repeated.

    The orders' ids are read from standard input, one a line. All other messages are given back as they are.
    """
    orders = _orders()
    try:
        erased = asyncio.run(resting.erase(amqp_url, _wanted(path, ""), orders))
    except (AMQPException, OSError, PublishFailed, AckLost) as failure:
        typer.echo(f"the broker: {in_a_line(failure)}. No message is lost; try again.", err=True)
        raise typer.Exit(1) from None
    for queue, count in erased.items():
        typer.echo(f"{queue}: messages erased: {count}")
    if not erased:
        typer.echo("no message that rests on the broker holds anything of them")


def _orders() -> list[UUID]:
    try:
        return erasure.read_orders(sys.stdin)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="standard input") from None


def _database_url(service: str) -> str:
    variable = f"{service.upper()}_DATABASE_URL"
    url = os.environ.get(variable)
    if not url:
        raise typer.BadParameter(f"{variable} is not set", param_hint=variable)
    return url


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
    as_gauge: Annotated[
        bool, typer.Option("--gauge", help="Numbers for Prometheus: a file for its textfile collector.")
    ] = False,
) -> None:
    """Compare a live broker with the document; status 1 if anything is missing, besides, or different."""
    wanted = _wanted(path, tiers)
    consumers = None if before_services else reading.consumers_of(reading.load(path))

    async def look() -> list[verification.Drift]:
        live = await read_broker(management_url, virtual_host(amqp_url))
        return verification.compare(wanted, live, consumers)

    try:
        drifts = asyncio.run(verification.until_clean(look, wait, verification.STARTING if before_services else 0.0))
    except ManagementUnavailable as failure:
        Console(stderr=True).print(f"the management API: {failure}", style="red", highlight=False)
        raise typer.Exit(2) from None
    if as_gauge:
        typer.echo(verification.as_gauge(drifts), nl=False)
    elif as_json:
        typer.echo(verification.as_json(drifts))
    else:
        verification.report(drifts, wanted, Console())
    raise typer.Exit(1 if drifts else 0)


@topology_app.command("plan")
def show_plan(
    amqp_url: AmqpUrl, management_url: ManagementUrl, path: Document = reading.DOCUMENT, tiers: Tiers = ""
) -> None:
    """Say what `apply` would do, without doing it; status 1 if there is anything to do."""
    wanted = _wanted(path, tiers)
    what = asyncio.run(_plan(wanted, amqp_url, management_url))
    plan.show(what, Console())
    raise typer.Exit(0 if what.empty and not what.refused else 1)


@topology_app.command()
def apply(
    amqp_url: AmqpUrl,
    path: Document = reading.DOCUMENT,
    tiers: Tiers = "",
    management_url: Annotated[
        str, typer.Option(envvar="RABBITMQ_MANAGEMENT_URL", help="Its management API, which --migrate needs.")
    ] = "",
    *,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Make queues anew whose arguments changed; no message is lost.")
    ] = False,
) -> None:
    """Declare what the document describes; nothing is consumed, and nothing that is there is changed."""
    wanted = _wanted(path, tiers)
    if migrate:
        if not management_url:
            raise typer.BadParameter("--migrate needs --management-url")
        asyncio.run(_migrate(wanted, amqp_url, management_url))
    try:
        asyncio.run(declare.apply(wanted, amqp_url))
    except ChannelPreconditionFailed as failure:
        typer.echo(f"the broker holds something else by that name: {failure}", err=True)
        typer.echo(
            "See `topology plan`; `topology apply --migrate` makes queues anew without losing a message.", err=True
        )
        raise typer.Exit(1) from None
    typer.echo(
        f"topology: {len(wanted.exchanges)} exchanges, {len(wanted.queues)} queues, {len(wanted.bindings)} bindings"
    )


async def _plan(wanted: Topology, amqp_url: str, management_url: str) -> plan.Plan:
    live = await read_broker(management_url, virtual_host(amqp_url))
    return plan.plan(wanted, verification.compare(wanted, live))


async def _migrate(wanted: Topology, amqp_url: str, management_url: str) -> None:
    what = await _plan(wanted, amqp_url, management_url)
    if what.refused:
        plan.show(what, Console(stderr=True))
        raise typer.Exit(1)
    mover = Mover(amqp_url, management_url)
    await declare.apply(Topology(exchanges=wanted.exchanges, queues=(), bindings=()), amqp_url)
    for queue in what.move:
        typer.echo(f"making {queue.name} anew ...")
        await mover.move(queue, wanted)


def _wanted(path: Path, tiers: str) -> Topology:
    documented = reading.read_topology(path)
    return documented.with_tiers([tier.strip() for tier in tiers.split(",")]) if tiers else documented


if __name__ == "__main__":
    app()
