"""`python -m order_api`: API keys, and the erasure of customers. ORDER_API_DATABASE_URL names the database."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Column, Table

from messaging.database import Database, DatabaseUnavailable
from messaging.erasure import read_orders
from order_api import erasure, keys
from order_api.callers import Scope
from order_api.settings import Settings

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
manage = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")
app.add_typer(manage, name="keys")
erase = typer.Typer(
    no_args_is_help=True, help="Personal data of customers: find, finish, list. `./run erase` does all."
)
app.add_typer(erase, name="erase")
console, errors = Console(soft_wrap=True, highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)

UNSETTLED = 3
"""Exit status of a search that found orders which cannot be erased yet."""

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON.")]


@app.callback()
def main() -> None:
    """Look after the order API."""


@manage.command()
def create(
    client: Annotated[str, typer.Option(help="Whose key it is: a storefront. Its keys all see the same orders.")],
    scope: Annotated[list[Scope], typer.Option(help="What it allows; may be repeated.")] = [Scope.READ, Scope.WRITE],  # noqa: B006
    note: Annotated[str, typer.Option(help="Anything that helps to tell it from others.")] = "",
) -> None:
    """Make a key and print it, once: only its digest is kept.

    A client may have several good keys. To change one: create another, install it, then `revoke` the first.
    """
    if not client.strip():
        raise typer.BadParameter("give the client a name", param_hint="--client")
    token = _run(lambda database: keys.create(database, client, set(scope), note=note))
    console.print(token)
    errors.print("Keep it safe: it cannot be shown again.", style="dim")


@manage.command("list")
def list_keys(*, as_json: AsJson = False) -> None:
    """Show every key that was ever made, by its prefix; never the key itself."""
    found = _run(keys.stored)
    if as_json:
        fields = {"prefix", "client_id", "scopes", "note", "created_at", "ends_at"}
        console.print_json(data=[key.model_dump(mode="json", include=fields) for key in found])
        return
    whole = [Column(name, no_wrap=True) for name in ("Prefix", "Client")]  # the names that `revoke` and people use
    others = [Column(name, overflow="fold") for name in ("Scopes", "Note", "Created", "State")]
    table = Table(*whole, *others)
    for key in found:
        created = key.created_at.astimezone(UTC)
        table.add_row(
            key.prefix, key.client_id, " ".join(key.scopes), key.note, f"{created:%Y-%m-%d %H:%M}", _state(key.ends_at)
        )
    console.print(table if found else "There are no keys yet: keys create --client NAME")


@manage.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="The key's prefix: the 12 digits behind `ord_`.")],
    after: Annotated[float, typer.Option(min=0, help="Hours that it stays good, while another takes its place.")] = 0,
) -> None:
    """End a key. Every process of the order API knows within some seconds."""
    at = datetime.now(UTC) + timedelta(hours=after)
    if _run(lambda database: keys.end(database, at, prefix=prefix)) == 0:
        errors.print(f"There is no key with the prefix {prefix}. `keys list` shows all.", style="red")
        raise typer.Exit(1)
    console.print(f"{prefix} ends {'now' if after == 0 else f'at {at:%Y-%m-%d %H:%M} UTC'}.")


@erase.command("find")
def find_customer(
    customer: Annotated[str | None, typer.Argument(help="The client's reference of its customer.")] = None,
    client: Annotated[str | None, typer.Option(help="Whose customer; needed if several clients have one.")] = None,
    older_than: Annotated[
        int | None, typer.Option(min=1, metavar="DAYS", help="Instead: settled orders of anybody, at most 1,000.")
    ] = None,
) -> None:
    """Write the ids of a customer's orders that can be erased, one a line.

    Those that are not settled still need their address: they are named on standard error, and the status is 3.
    """
    if older_than is not None and customer is None:
        for order_id in _run(lambda database: erasure.find_old(database, older_than)):
            print(order_id)  # noqa: T201 - for programs
        return
    if older_than is not None or customer is None:
        raise typer.BadParameter("name a customer, or give --older-than")
    try:
        found = _run(lambda database: erasure.find(database, customer, client))
    except erasure.WhoseCustomer as several:
        errors.print(f"Several clients have a customer of that name: {several}. Say whose: --client NAME", style="red")
        raise typer.Exit(2) from None
    for order_id in found.settled:
        print(order_id)  # noqa: T201 - for programs
    if not found.settled and not found.unsettled:
        errors.print(f"No order is left under {customer}: it was erased before, or never known.", markup=False)
    if found.unsettled:
        errors.print("Not settled yet, erase again later:", style="yellow")
        for order_id in found.unsettled:
            errors.print(f"  {order_id}")
        raise typer.Exit(UNSETTLED)


@erase.command()
def finish(
    by: Annotated[str | None, typer.Option(help="Who erases, for the record; without it, this machine's user.")] = None,
) -> None:
    """Erase orders in the order API's own database, and record it. Their ids are read from standard input.

    The last step: from here on the customer is not found any more.
    """
    try:
        orders = read_orders(sys.stdin)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="standard input") from None
    changed = _run(lambda database: erasure.erase(database.url, orders, by or getpass.getuser()))
    console.print(f"order_api: rows erased: {changed}")


@erase.command("list")
def list_erased() -> None:
    """Write the ids of all orders that were ever erased, oldest first: what is to be erased again after a restore."""
    for row in _run(erasure.erased):
        print(row.order_id)  # noqa: T201 - for programs


def _state(ends_at: datetime | None) -> str:
    if ends_at is None:
        return "good"
    moment = f"{ends_at.astimezone(UTC):%Y-%m-%d %H:%M}"
    return f"good until {moment}" if ends_at > datetime.now(UTC) else f"ended {moment}"


def _run(work: Callable[[Database], Awaitable[T]]) -> T:
    async def with_database() -> T:
        database = Database(Settings().database_url.get_secret_value(), name="order_api", pool_size=1)
        try:
            return await work(database)
        finally:
            if database.url:
                await database.close()

    try:
        return asyncio.run(with_database())
    except DatabaseUnavailable as away:
        errors.print(f"The order API's database does not answer: {away}", style="red")
        raise typer.Exit(1) from away


if __name__ == "__main__":
    app(prog_name="python -m order_api")
