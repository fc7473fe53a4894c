"""FastAPI, FastStream and SQLModel as their tutorials show them."""

import asyncio
from collections.abc import Callable, Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from benchmarks.contender import PIECES, PRODUCTS, Contender, LineUp, Part, Servers
from benchmarks.peers.tutorial import tables
from devstack.environments import python_with

HOST = "127.0.0.1"
_TABLES = {
    "order_api": [tables.Order, tables.Product],
    "payment": [tables.Payment],
    "inventory": [tables.Stock, tables.Reservation],
    "shipping": [tables.Shipment],
}
_ROWS = {
    "order_api": (tables.Product, [{"sku": sku, "price": price} for sku, price in PRODUCTS.items()]),
    "inventory": (tables.Stock, [{"sku": sku, "on_hand": PIECES, "reserved": 0} for sku in PRODUCTS]),
}


def _prepare_databases(databases: Mapping[str, str]) -> None:
    for service, models in _TABLES.items():
        asyncio.run(_create(databases[service], [SQLModel.metadata.tables[m.__tablename__] for m in models], service))


async def _create(url: str, wanted: list[sa.Table], service: str) -> None:
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:", 1))
    async with engine.begin() as db:
        await db.run_sync(lambda connection: SQLModel.metadata.create_all(connection, tables=wanted))
        if service in _ROWS:
            model, rows = _ROWS[service]
            await db.execute(sa.insert(model), rows)
    await engine.dispose()


def _line_up(servers: Servers, port: Callable[[], int]) -> LineUp:
    python, http = python_with("bench"), port()

    def part(service: str, command: list[str], **ready: str) -> Part:
        environment = {"AMQP_URL": servers.amqp_url, "DATABASE_URL": servers.databases[service]}
        return Part(service, [python, "-m", *command], environment, **ready)

    app = "benchmarks.peers.tutorial.api:app"
    tuned = ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    api = ["uvicorn", app, "--host", HOST, "--port", str(http), *tuned]
    return LineUp(
        [
            part("order_api", api, ready_url=f"http://{HOST}:{http}/health"),
            *(
                part(service, ["faststream", "run", f"benchmarks.peers.tutorial.{service}:app"], ready_line="started")
                for service in ("payment", "inventory", "shipping")
            ),
        ],
        f"http://{HOST}:{http}",
    )


CONTENDER = Contender(
    name="tutorial",
    what="FastAPI, FastStream and SQLModel as their tutorials show them: a session and a commit for each message, then "
    "the next event is published with a confirm. Prefetch 100, a pool of 20 to 30 connections, uvloop, httptools, "
    "orjson, no logs. It ends at shipping.ready: no capture, no goods shipped, no timeline.",
    not_guaranteed=(
        "There is no outbox: an order whose process dies between commit and publish stands still for ever.",
        "There is no inbox: a message that comes twice meets its own row, fails, and what was to follow is not said.",
        "A handler that fails, if the database is away for a second, loses its message: rejecting it is the default.",
        "Nothing is undone: an undeliverable order keeps its stock and its money, and none can be cancelled.",
    ),
    databases=tuple(_TABLES),
    prepare_databases=_prepare_databases,
    prepare_broker=lambda _: None,
    line_up=_line_up,
    unfinished="SELECT count(*) FROM orders WHERE status IN ('pending', 'authorized', 'reserved')",
    finished="SELECT order_id::text, pg_xact_commit_timestamp(xmin) FROM orders WHERE status = 'ready'",
)
