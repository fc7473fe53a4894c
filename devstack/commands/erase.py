"""The command `./run erase`."""

import getpass
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from devstack.endpoints import Endpoints, read_endpoints
from devstack.paths import CHECKOUT
from devstack.services import API, CONSUMERS, CONTROL_ROOM
from order_api.__main__ import UNSETTLED


def erase(
    customer: Annotated[str | None, typer.Argument(help="The client's reference of its customer, e.g. c-42.")] = None,
    client: Annotated[
        str | None, typer.Option(help="Whose customer: the client whose key placed the orders, e.g. local.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who erases, for the record.", show_default="this machine's user")] = "",
    older_than: Annotated[
        int | None,
        typer.Option(min=1, metavar="DAYS", help="Instead of a customer: settled orders of anybody, at most 1,000."),
    ] = None,
    *,
    again: Annotated[
        bool, typer.Option("--again", help="Erase what was ever erased once more: after a restore.")
    ] = False,
) -> None:
    """Erase a customer's personal data: in every database, and in messages that rest on the broker.

    Orders that are not settled still need their address: they are named, and the status is 1. Run it again later.
    """
    if [customer is not None, older_than is not None, again].count(True) != 1:
        raise typer.BadParameter("name a customer, or give --older-than or --again")
    endpoints = read_endpoints()
    if again:
        wanted = ["list"]
    elif customer is None:
        wanted = ["find", "--older-than", str(older_than)]
    else:
        wanted = ["find", *(["--client", client] if client else []), "--", customer]
    search = _job(endpoints, "order_api", "erase", *wanted)
    if search.returncode not in {0, UNSETTLED}:
        raise typer.Exit(search.returncode)
    orders: str = search.stdout
    print(f"Orders to erase: {len(orders.split())}", flush=True)
    steps = (
        ("messaging", "erase", *CONSUMERS),
        ("messaging", "erase-messages"),
        ("messaging", "erase", CONTROL_ROOM),  # it may take a dead letter into custody meanwhile
        ("order_api", "erase", "finish", "--by", by or getpass.getuser()),  # last: until then the customer is found
    )
    for step in steps if orders else ():
        done = _job(endpoints, *step, orders=orders)
        print(done.stdout, end="", flush=True)
        if done.returncode:
            print("This failed; nothing is half done that the same command does not finish.", file=sys.stderr)
            raise typer.Exit(2)
    raise typer.Exit(1 if search.returncode else 0)


def _job(endpoints: Endpoints, *module: str, orders: str = "") -> subprocess.CompletedProcess[str]:
    """Run a job, which writes its errors for the reader. Addresses go by environment: they hold passwords."""
    needed: Sequence[str] = (API,) if module[0] == API else (*CONSUMERS, CONTROL_ROOM)
    environment = {
        **os.environ,
        **{f"{service.upper()}_DATABASE_URL": endpoints.databases[service] for service in needed},
        "AMQP_URL": endpoints.amqp,
    }
    return subprocess.run(
        [sys.executable, "-m", *module],
        cwd=CHECKOUT,
        env=environment,
        input=orders,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
