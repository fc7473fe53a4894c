"""`audit`: read all services' databases once, print the balance, and name what does not add up."""

import asyncio
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Annotated

import typer
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from messaging.asyncapi.reading import read_topology
from messaging.database import Database, DatabaseUnavailable, sqlstate
from messaging.disclosure import in_a_line
from operations.audit.balance import Audit, Balance, as_data
from operations.audit.custody import parked_in
from operations.audit.settings import AuditSettings
from operations.audit.sources import SERVICES, Sources
from operations.settings import Settings

CONTROL_ROOM = "operations"
LOOKS = 3
"""How often what one look suspects is looked at again: on a busy system there is always something on its way."""
BETWEEN = 2.0
"""Seconds between these."""
MOST_SHOWN = 50
"""Violations that are printed; --json gives all."""

console, errors = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)


def audit(
    database: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE=URL", help="A service's database, instead of OPERATIONS_AUDIT_DATABASES__…."),
    ] = None,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds that what is on its way is no violation.")
    ] = AuditSettings.model_fields["grace"].default,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Read all databases once, and say whether money, stock and messages add up. Status 1 if they do not.

    Needed are order_api, payment, inventory and shipping; a role that may only read is enough. With operations=URL,
    messages that are neither applied nor parked are found, too.
    """
    given = _databases(database or ())
    try:
        settings = AuditSettings.model_validate({"databases": given, "grace": grace, "lag": 0})
        balance = asyncio.run(_balance(settings, quiet=as_json))
    except ValidationError as wrong:
        told = "; ".join(str(each["msg"]).removeprefix("Value error, ") for each in wrong.errors(include_input=False))
        errors.print(f"The databases: {told}", style="red", markup=False)
        raise typer.Exit(2) from None
    except ValueError as few:
        errors.print(f"{few}: --database SERVICE=URL", style="red", markup=False)
        raise typer.Exit(2) from None
    except DatabaseUnavailable as away:
        errors.print(str(away), style="red", markup=False)
        raise typer.Exit(2) from None
    except Exception as refused:
        if sqlstate(refused) is None:
            raise
        errors.print(f"A database refuses: {in_a_line(refused)}", style="red", markup=False)
        raise typer.Exit(2) from None
    if as_json:
        console.print_json(data=as_data(balance))
    else:
        _print(balance, office=CONTROL_ROOM in settings.databases)
    raise typer.Exit(1 if balance.violations else 0)


def _databases(given: Iterable[str]) -> dict[str, SecretStr]:
    """Those of the command line, or those of the environment."""
    urls: dict[str, SecretStr] = {}
    for each in given:
        service, separator, url = each.partition("=")
        if not separator or service not in {*SERVICES, CONTROL_ROOM}:
            services = ", ".join((*SERVICES, CONTROL_ROOM))
            raise typer.BadParameter(f"give SERVICE=URL with one of {services}", param_hint="--database")
        urls[service] = SecretStr(url)
    if urls:
        return urls
    own = Settings().database_url
    return {**({CONTROL_ROOM: own} if own.get_secret_value() else {}), **AuditSettings().databases}


async def _balance(settings: AuditSettings, *, quiet: bool) -> Balance:
    async with AsyncExitStack() as closing:
        databases = {
            name: Database(url.get_secret_value(), name=name, pool_size=1) for name, url in settings.databases.items()
        }
        sources = Sources(databases)
        for each in databases.values():
            closing.push_async_callback(each.close)
        office = databases.get(CONTROL_ROOM)
        audit = Audit(sources, settings, read_topology(), None if office is None else parked_in(office))
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=errors, transient=True, disable=quiet or not sys.stderr.isatty()) as progress:
            task = progress.add_task("reading")
            while not (balance := await audit.look()).complete:
                progress.update(task, description=f"reading: {audit.orders.read:,} orders")
            for _ in range(LOOKS):
                if not balance.suspected:
                    break
                progress.update(task, description="looking once more at what does not add up")
                await asyncio.sleep(BETWEEN)
                balance = await audit.look()
        return balance


def _print(balance: Balance, *, office: bool) -> None:
    orders = _table("Orders", "status", "orders")
    for status, count in balance.orders.items():
        orders.add_row(status, f"{count:,}")
    equation = "authorized = captured + voided + open"
    money = _table(f"Money, in minor units: {equation}", "", "accepted", "authorized", "captured", "voided", "open")
    for currency, sums in balance.money.items():
        amounts = (sums.accepted, sums.authorized, sums.captured, sums.voided, sums.open)
        money.add_row(currency, *(f"{amount:,}" for amount in amounts))
        if sums.unexplained:
            money.add_row("", "", f"[red]{sums.unexplained:,} unexplained[/]")
    equation = "on hand = initial + received - shipped"
    columns = ("on hand", "initial", "received", "shipped", "reserved", "available")
    stock = _table(f"Stock, in pieces: {equation}", "sku", *columns)
    for each in balance.stock:
        pieces = (each.on_hand, each.initial, each.received, each.shipped, each.reserved, each.available)
        stock.add_row(escape(each.sku), *(f"{count:,}" for count in pieces))
    equation = "published = applied + parked + in flight + missing"
    columns = ("published", "applied", "parked", "in flight", "missing")
    messages = _table(f"Messages: {equation}", "queue", *columns)
    for queue, tally in sorted(balance.messages.items()):
        counts = (tally.published, tally.applied, tally.parked, tally.in_flight, tally.missing)
        if tally.published:
            messages.add_row(queue, *(f"{count:,}" for count in counts))
    for table in (orders, money, stock, messages):
        if table.row_count:
            console.print(table.title, style="bold")
            table.title = None
            console.print(table, "")
    if not office:
        console.print("[dim]Parked messages count as in flight: the database of operations is not given.[/]\n")
    _print_violations(balance)


def _print_violations(balance: Balance) -> None:
    if not balance.violations:
        console.print("[green]✓[/] money, stock and messages add up")
        return
    for each in balance.violations[:MOST_SHOWN]:
        console.print(f"[red]✗ {each.kind}[/] {escape(each.subject)}\n  {escape(each.detail)}")
    more = len(balance.violations) - MOST_SHOWN
    if more > 0:
        console.print(f"… and {more:,} more: --json shows all")
    console.print(f"\n[red]{len(balance.violations):,} violations[/]. What each kind means: docs/howto/audit.md")


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, collapse_padding=True
    )
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table
