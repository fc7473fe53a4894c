"""`python -m order_api`: API keys, and the erasure of customers. ORDER_API_DATABASE_URL names the database."""

import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from messaging.database import Database
from messaging.erasure import read_orders
from order_api import erasure
from order_api.settings import Settings
from rest.key_commands import key_commands, with_database

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
erase = typer.Typer(
    no_args_is_help=True, help="Personal data of customers: find, finish, list. `./run erase` does all."
)
app.add_typer(erase, name="erase")
app.add_typer(key_commands(lambda: Settings().database_url, "order_api"), name="keys")
console, errors = Console(soft_wrap=True, highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)

UNSETTLED = 3
"""Exit status of a search that found orders which cannot be erased yet."""


@app.callback()
def main() -> None:
    """Look after the order API."""


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


def _run(work: Callable[[Database], Awaitable[T]]) -> T:
    return with_database(work, Settings().database_url, "order_api")


if __name__ == "__main__":
    app(prog_name="python -m order_api")
