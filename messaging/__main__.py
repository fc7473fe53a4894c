"""`python -m messaging`: the jobs around the services: databases, topology, and whether the broker is as documented."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from aio_pika.exceptions import AMQPException, ChannelPreconditionFailed
from rich.console import Console

from messaging import declare, erasure, migrations, plan, resting, rights, roles, secret_files
from messaging import verify as verification
from messaging.asyncapi import reading
from messaging.database import DatabaseUnavailable
from messaging.disclosure import in_a_line
from messaging.edge import AckLost, PublishFailed
from messaging.management import ManagementUnavailable, read_broker, virtual_host
from messaging.queue_move import Mover
from messaging.topology import Topology


def _as_administrator(url: str) -> str:
    """The broker's URL with the password that a file holds, if it names a user without one."""
    return secret_files.with_password(url, secret_files.read("amqp_password"))


AmqpUrl = Annotated[
    str,
    typer.Option(envvar="AMQP_URL", callback=_as_administrator, help="Where RabbitMQ is, with the virtual host."),
]
ManagementUrl = Annotated[
    str,
    typer.Option(
        envvar="RABBITMQ_MANAGEMENT_URL",
        callback=_as_administrator,
        help="Its management API: http://user:password@host:15672.",
    ),
]
Secrets = Annotated[
    Path, typer.Option("--secrets", envvar="SECRETS_TREE", help="A folder with one for each service: its passwords.")
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
    role: Annotated[str, typer.Option(envvar="READER_ROLE", help="Its name.")] = roles.ROLE,
) -> None:
    """Let a role read services' databases, <SERVICE>_DATABASE_URL, and nothing else; harmless when repeated.

    READER_PASSWORD is its password: with it, the role is made if it is missing. Without it, the role must be there.
    """
    for service in services:
        try:
            _grant(service, role, os.environ.get("READER_PASSWORD"), roles.READING)
        except ValueError as wrong:
            raise typer.BadParameter(str(wrong), param_hint="READER_PASSWORD") from None
        except LookupError as missing:
            raise typer.BadParameter(
                f"{missing}: give its password, to make it", param_hint="READER_PASSWORD"
            ) from None
        except roles.NoRight as refused:
            typer.echo(f"{service}: its user may not do that ({refused}).", err=True)
            typer.echo(f"As a user who may: CREATE ROLE {role} LOGIN. Then run this without READER_PASSWORD.", err=True)
            raise typer.Exit(1) from None
        typer.echo(f"{service}: {role} may read")


@app.command("roles")
def let_serve(
    services: Annotated[list[str], typer.Argument(help="Their packages, for example payment.")], secrets: Secrets
) -> None:
    """Make each service's role in its database, <SERVICE>_DATABASE_URL; harmless when repeated.

    The role has the service's name and the password in SECRETS/<service>/<service>_database_password. It may change
    rows and nothing else: the tables belong to the user of the URL.
    """
    for service in services:
        try:
            _grant(service, service, _password(secrets, service, "database"), roles.SERVING)
        except ValueError as wrong:
            raise typer.BadParameter(f"{service}: {wrong}", param_hint="--secrets") from None
        except roles.NoRight as refused:
            typer.echo(f"{service}: the user of its URL may not do that ({refused}).", err=True)
            raise typer.Exit(1) from None
        typer.echo(f"{service}: the role {service} may change rows")


def _grant(service: str, role: str, password: str | None, grants: Sequence[str]) -> None:
    try:
        asyncio.run(roles.grant(_database_url(service), role, password, grants))
    except DatabaseUnavailable as away:
        typer.echo(f"{service}: its database does not answer ({away}). Try again.", err=True)
        raise typer.Exit(1) from None


@app.command()
def users(
    amqp_url: AmqpUrl,
    management_url: ManagementUrl,
    secrets: Secrets,
    path: Document = reading.DOCUMENT,
    tiers: Tiers = "",
) -> None:
    """Make each service's user on the broker, with the rights that the document calls for; harmless when repeated.

    The user has the service's name and the password in SECRETS/<service>/<service>_amqp_password.
    """
    granted = rights.rights_of(reading.load(path), _wanted(path, tiers))
    made = [(service, each, _password(secrets, service, "amqp")) for service, each in granted.items()]
    try:
        asyncio.run(rights.grant(management_url, virtual_host(amqp_url), made))
    except ManagementUnavailable as failure:
        typer.echo(f"the management API: {failure}", err=True)
        raise typer.Exit(1) from None
    for service, each in granted.items():
        typer.echo(f"{service}: reads {len(each.reads)} queues, writes to {len(each.writes)} exchanges")


def _password(secrets: Path, service: str, what: str) -> str:
    name = f"{service}_{what}_password"
    password = secret_files.read(name, secrets / service)
    if not password:
        raise typer.BadParameter(f"{secrets / service / name} is missing or empty", param_hint="--secrets")
    return password


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
    return secret_files.with_password(url, secret_files.read(variable.lower().replace("_url", "_password")))


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
        str,
        typer.Option(
            envvar="RABBITMQ_MANAGEMENT_URL",
            callback=_as_administrator,
            help="Its management API, which --migrate needs.",
        ),
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
