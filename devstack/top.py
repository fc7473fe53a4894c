"""`python -m devstack.top`: the system at a glance, live or once; other commands import no service."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.live import Live

from devstack.endpoints import read_endpoints
from devstack.errors import StackError
from devstack.paths import CHECKOUT
from devstack.top_view import frame
from messaging.database import Database
from messaging.disclosure import without_secrets
from messaging.management import virtual_host
from operations.monitoring.alarms import ORDERS_DATABASE, alarms_of
from operations.monitoring.broker import Broker
from operations.monitoring.collector import Collector, Snapshot, Source
from operations.monitoring.described import Described, read_description
from operations.monitoring.liveness import Liveness
from operations.monitoring.metrics import PERCENTILES, SOURCE_UNREADABLE, Sample
from operations.monitoring.office import ControlRoom
from operations.monitoring.tables import Orders, Outbox

CONTROL_ROOM = "operations"
NO_MANAGEMENT = "no management API of RabbitMQ: set ORDERS_RABBITMQ_MANAGEMENT_URL before ./run up"


@dataclass(frozen=True)
class Addresses:
    """Where things are; all but the broker may be missing."""

    amqp: str
    management: str
    databases: Mapping[str, str]
    services: Mapping[str, str]


def top(  # noqa: PLR0913 - each is an option of the command line
    *,
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every number there is, once, for programs.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show quiet queues and steps, too.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.5)] = 2.0,
    tiers: Annotated[str, typer.Option(envvar="RETRY_TIERS", help="Other retry delays, for example 1s,5s.")] = "",
    amqp_url: Annotated[
        str, typer.Option(envvar="AMQP_URL", help="Another broker than that of ./run up, with the virtual host.")
    ] = "",
    management_url: Annotated[
        str, typer.Option(envvar="RABBITMQ_MANAGEMENT_URL", help="Its management API, with user and password.")
    ] = "",
) -> None:
    """Watch queues, rates, latency, retries, dead letters, outboxes and replicas of the stack that is up; Ctrl-C ends.

    With --management-url, another system: its databases are <SERVICE>_DATABASE_URL and its services <SERVICE>_URL, as
    far as these variables are set.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # the picture says it
    described = read_description(CHECKOUT / "asyncapi/asyncapi.json").with_tiers(
        [tier.strip() for tier in tiers.split(",") if tier]
    )
    console = Console()
    try:
        addresses = _given(described, amqp_url, management_url) if management_url else _stack()
        asyncio.run(_watch(described, addresses, console, interval, once=once, as_json=as_json, everything=everything))
    except StackError as failure:
        Console(stderr=True, soft_wrap=True).print(f"Error: {failure}", style="red", highlight=False, markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _watch(  # noqa: PLR0913 - as above
    described: Described,
    addresses: Addresses,
    console: Console,
    interval: float,
    *,
    once: bool,
    as_json: bool,
    everything: bool,
) -> None:
    async with _sources(described, addresses) as sources:
        collector = Collector(sources, interval)
        snapshot = await collector.look()
        _refuse_nothing(snapshot, addresses)
        if as_json:
            print(as_text(described, snapshot))
        elif once or not console.is_terminal:
            console.print(frame(described, snapshot, everything=everything))
        else:
            with Live(frame(described, snapshot, everything=everything), console=console, screen=True) as live:
                while True:
                    await asyncio.sleep(interval)
                    live.update(frame(described, await collector.look(), everything=everything))


def _stack() -> Addresses:
    endpoints = read_endpoints()
    if endpoints.rabbitmq_management is None:
        raise StackError(NO_MANAGEMENT)
    return Addresses(endpoints.amqp, endpoints.rabbitmq_management, endpoints.databases, endpoints.services)


def _given(described: Described, amqp_url: str, management_url: str) -> Addresses:
    def named(suffix: str) -> dict[str, str]:
        variables = {service: os.environ.get(f"{service.upper()}_{suffix}") for service in described.services}
        return {service: value for service, value in variables.items() if value}

    return Addresses(amqp_url or "amqp:///", management_url, named("DATABASE_URL"), named("URL"))


@asynccontextmanager
async def _sources(described: Described, addresses: Addresses) -> AsyncGenerator[Sequence[Source]]:
    databases = {name: Database(url, name=name, pool_size=3) for name, url in addresses.databases.items()}
    try:
        yield [
            Broker(described, addresses.management, virtual_host(addresses.amqp)),
            Liveness(addresses.services),
            *(Outbox(name, database) for name, database in databases.items()),
            *(Orders(database, described.causes) for name, database in databases.items() if name == ORDERS_DATABASE),
            *(
                ControlRoom(database, described.services)
                for name, database in databases.items()
                if name == CONTROL_ROOM
            ),
        ]
    finally:
        for database in databases.values():
            await database.close()


def _refuse_nothing(snapshot: Snapshot, addresses: Addresses) -> None:
    """Raise StackError when the broker, of all things, cannot be read at the first look."""
    unreadable = {each.of for each in snapshot.samples if each.metric == SOURCE_UNREADABLE and each.value}
    if Broker.name in unreadable:
        address = without_secrets(addresses.management)
        raise StackError(f"RabbitMQ's management API at {address} does not answer. Is the stack up? ./run up --detach")


def as_text(described: Described, snapshot: Snapshot) -> str:
    """The snapshot for programs: every sample, and the names of alarms whose condition holds."""
    document = {
        "taken_at": snapshot.taken_at.isoformat(),
        "alarms": [alarm.name for alarm in alarms_of(described) if alarm.holds(snapshot.samples)],
        "samples": [_told(each) for each in snapshot.samples],
    }
    return json.dumps(document, indent=1)


def _told(sample: Sample) -> Mapping[str, object]:
    named: dict[str, object] = {"metric": sample.metric.name}
    if sample.metric.dimension is not None:
        named[sample.metric.dimension.lower()] = sample.of
    if not sample.metric.distribution:
        return {**named, "value": sample.value}
    percentiles = {f"p{percent:g}": sample.percentile(percent) for percent in PERCENTILES}
    return {**named, "count": sample.count, **percentiles}


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(top)
    app(prog_name="./run top")
