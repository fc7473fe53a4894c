"""The commands that look after a service's API keys."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Column, Table

from messaging.database import Database, DatabaseUnavailable
from rest import keys
from rest.callers import Scope

T = TypeVar("T")

console, errors = Console(soft_wrap=True, highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)

_USUAL = [Scope.READ, Scope.WRITE]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON.")]


def with_database(work: Callable[[Database], Awaitable[T]], url: SecretStr, service: str) -> T:
    """Do something with a service's database; ends the command, with a line that says so, when it is away."""

    async def opened() -> T:
        database = Database(url.get_secret_value(), name=service, pool_size=1)
        try:
            return await work(database)
        finally:
            if database.url:
                await database.close()

    try:
        return asyncio.run(opened())
    except DatabaseUnavailable as away:
        errors.print(f"{service}: its database does not answer: {away}", style="red")
        raise typer.Exit(1) from away


def key_commands(url: Callable[[], SecretStr], service: str) -> typer.Typer:
    """Make the commands `create`, `list` and `revoke` of a service's keys."""
    manage = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")

    def run(work: Callable[[Database], Awaitable[T]]) -> T:
        return with_database(work, url(), service)

    @manage.command()
    def create(
        client: Annotated[str, typer.Option(help="Whose key it is: a storefront. Its keys all see the same orders.")],
        scope: Annotated[list[Scope], typer.Option(help="What it allows; may be repeated.")] = _USUAL,
        note: Annotated[str, typer.Option(help="Anything that helps to tell it from others.")] = "",
    ) -> None:
        """Make a key and print it, once: only its digest is kept.

        A client may have several good keys. To change one: create another, install it, then `revoke` the first.
        """
        if not client.strip():
            raise typer.BadParameter("give the client a name", param_hint="--client")
        token = run(lambda database: keys.create(database, client, set(scope), note=note))
        console.print(token)
        errors.print("Keep it safe: it cannot be shown again.", style="dim")

    @manage.command("list")
    def list_keys(*, as_json: AsJson = False) -> None:
        """Show every key that was ever made, by its prefix; never the key itself."""
        found = run(keys.stored)
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
                key.prefix,
                key.client_id,
                " ".join(key.scopes),
                key.note,
                f"{created:%Y-%m-%d %H:%M}",
                _state(key.ends_at),
            )
        console.print(table if found else "There are no keys yet: keys create --client NAME")

    @manage.command()
    def revoke(
        prefix: Annotated[str, typer.Argument(help="The key's prefix: the 12 digits behind `ord_`.")],
        after: Annotated[
            float, typer.Option(min=0, help="Hours that it stays good, while another takes its place.")
        ] = 0,
    ) -> None:
        """End a key. Every process of the service knows within some seconds."""
        at = datetime.now(UTC) + timedelta(hours=after)
        if run(lambda database: keys.end(database, at, prefix=prefix)) == 0:
            errors.print(f"There is no key with the prefix {prefix}. `keys list` shows all.", style="red")
            raise typer.Exit(1)
        console.print(f"{prefix} ends {'now' if after == 0 else f'at {at:%Y-%m-%d %H:%M} UTC'}.")

    return manage


def _state(ends_at: datetime | None) -> str:
    if ends_at is None:
        return "good"
    moment = f"{ends_at.astimezone(UTC):%Y-%m-%d %H:%M}"
    return f"good until {moment}" if ends_at > datetime.now(UTC) else f"ended {moment}"
