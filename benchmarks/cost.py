"""What an order costs: processor time by process, messages, transactions, rows and bytes, on a stack of its own.

    .venv/bin/python -m benchmarks.cost
    .venv/bin/python -m benchmarks.cost --processes 2
    .venv/bin/python -m benchmarks.cost --sku MUG-01
    .venv/bin/python -m benchmarks.cost --alone --processes 2

It starts servers and services in .stack/cost, places orders, and waits until each is settled. Everything shares this
machine, the clients, too: compare rates with each other only; the processor time of an order says more. With --alone,
services take turns: each works off what the one ahead of it left, with the machine to itself and the servers. Linux
only. What follows from the numbers is in docs/scaling.md.
"""

import asyncio
import shutil
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import httpx2
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.processor import milliseconds
from devstack.endpoints import Endpoints
from devstack.errors import StackError
from devstack.paths import STACK
from devstack.ports import next_free_port
from devstack.process import Process
from devstack.services import API, CONSUMERS, HOST, SERVICES, Wiring, service_process
from devstack.stack import Stack
from devstack.steps import Steps

FOLDER = STACK / "cost"
CONSOLE = Console()
WARM_UP = 200
"""Orders that come first and are not counted: they meet cold caches and empty pools."""
IDLE = 10.0
"""Seconds for which the system is watched while nothing happens."""
PATIENCE = 240.0
"""Seconds for the orders to be settled."""
REFRESH = 6.0
"""Seconds after which the management API has counted every message: it does so every five."""
LIMITS = {"ORDER_API_RATE_LIMIT": "100000/second"}
"""All orders come with one key."""
TURNS = ((API, 0), ("payment", 1), ("inventory", 1), ("shipping", 1), ("payment", 1), ("inventory", 1), (API, 5))
"""The way of an order that is shipped: who handles how many messages of it. The first are requests."""
SKUS = ("MUG-01", "TEE-01", "CAP-01", "BAG-01", "PEN-01")

_TABLES = """
    SELECT relname, n_tup_ins, pg_total_relation_size(relid) FROM pg_stat_user_tables
    WHERE relname NOT LIKE 'alembic%'
"""
_COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
_OPEN = "SELECT count(*) FROM orders WHERE next_deadline IS NOT NULL"


@dataclass(frozen=True)
class Load:
    """What is asked for."""

    orders: int
    clients: int
    """At the same time."""
    skus: tuple[str, ...]


@dataclass(frozen=True)
class Tally:
    """The clocks at a moment, and how much was done."""

    at: float
    processor: Counter[str]
    """Milliseconds, by service or server."""
    done: int


@dataclass(frozen=True)
class Seen:
    """Counters at a moment."""

    at: float
    processor: Counter[str]
    """Milliseconds, by service or server."""
    messages: Counter[str]
    stored: Counter[tuple[str, str]]
    """Bytes by service and table, indexes among them."""
    rows: Counter[tuple[str, str]]
    """Rows ever inserted."""
    commits: Counter[str]
    wal: int
    """Bytes of the write-ahead log of all databases."""


class Measurement:
    """A stack under load, and what it counts."""

    def __init__(self, endpoints: Endpoints, apis: list[str], processes: list[Process]) -> None:
        self._endpoints = endpoints
        self._apis = apis
        self._processes = processes

    async def place(self, load: Load, orders: int) -> None:
        """Place so many orders; returns when the last one is accepted."""
        headers = {"Authorization": f"Bearer {self._endpoints.api_keys['client']}"}
        limits = httpx2.Limits(max_connections=load.clients)
        waiting = iter(range(orders))
        async with httpx2.AsyncClient(headers=headers, timeout=30, limits=limits) as http:

            async def customer(api: str) -> None:
                for number in waiting:
                    wish = _wish(load.skus[number % len(load.skus)])
                    (await http.post(f"{api}/orders", json=wish)).raise_for_status()

            await asyncio.gather(
                *(customer(api) for api, _ in zip(cycle(self._apis), range(load.clients), strict=False))
            )

    async def settle(self) -> None:
        """Return when nothing is left to do for any order. Raises StackError if that takes too long."""
        deadline = time.monotonic() + PATIENCE
        database = await asyncpg.connect(self._endpoints.databases[API])
        try:
            while await database.fetchval(_OPEN):
                if time.monotonic() > deadline:
                    raise StackError(f"orders are not settled after {PATIENCE:.0f} s")
                await asyncio.sleep(0.1)
        finally:
            await database.close()

    async def work_off(self, service: str, begun: int, messages: int) -> tuple[Tally, Tally]:
        """Return when the service has handled so many more messages; what is told begins behind its start."""
        first, handled = None, 0
        while first is None or handled < messages:
            await asyncio.sleep(0.1)
            handled = await _handled(self._endpoints.databases[service]) - begun
            if first is None and handled > messages // 10:
                first = self.tally(handled)
        last = self.tally(handled)
        if first.done == last.done:
            raise StackError(f"{service} was done before all its processes were ready: measure with more --orders")
        return first, last

    def tally(self, done: int) -> Tally:
        """Read the clocks."""
        processor = Counter({"clients": round(1000 * time.process_time())})
        for process in self._processes:
            processor[process.name] += milliseconds(process.pid)
        return Tally(time.monotonic(), processor, done)

    async def look(self) -> Seen:
        """Read all counters."""
        clocks = self.tally(0)
        await asyncio.sleep(REFRESH)
        async with httpx2.AsyncClient() as http:
            overview = (await http.get(f"{self._endpoints.rabbitmq_management}/api/overview")).raise_for_status().json()
        messages = Counter({kind: overview["message_stats"].get(kind, 0) for kind in ("publish", "deliver", "ack")})
        stored, rows, commits, wal = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[str](), 0
        for service, url in self._endpoints.databases.items():
            database: Any = await asyncpg.connect(url)
            for table, inserted, size in await database.fetch(_TABLES):
                rows[service, table], stored[service, table] = inserted, size
            commits[service] = await database.fetchval(_COMMITS)
            wal = await database.fetchval("SELECT pg_current_wal_lsn() - '0/0'")
            await database.close()
        return Seen(clocks.at, clocks.processor, messages, stored, rows, commits, int(wal))


def cost(
    orders: Annotated[int, typer.Option(help="How many orders to place.")] = 1000,
    clients: Annotated[int, typer.Option(help="How many are being placed at the same time.")] = 32,
    processes: Annotated[int, typer.Option(help="Of each service but operations.")] = 1,
    sku: Annotated[str, typer.Option(help="The product of all orders; without it, five products in turn.")] = "",
    alone: Annotated[bool, typer.Option("--alone", help="One service at a time.")] = False,  # noqa: FBT002 - typer
) -> None:
    """Place orders on a stack of this measurement's own, and print what each of them costs."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    load = Load(orders, clients, (sku,) if sku else SKUS)
    with Stack(FOLDER, extra_environment=LIMITS) as stack, ExitStack() as ending:
        with Steps(Console(stderr=True)) as steps:
            endpoints = stack.start(steps)
        running = list(stack.processes)
        if alone:
            for process in running:
                if process.name in SERVICES:
                    process.stop()
            servers = [process for process in running if process.name not in SERVICES]
            asyncio.run(_take_turns(load, endpoints, servers, stack.logs, processes))
        else:
            apis = [endpoints.api]
            for service in (API, *CONSUMERS):
                more = _start(endpoints, stack.logs, service, processes - 1, ending)
                running += more
                apis += more.values() if service == API else []
            asyncio.run(_measure(load, Measurement(endpoints, apis, running)))


async def _take_turns(load: Load, endpoints: Endpoints, servers: list[Process], logs: Path, processes: int) -> None:
    table = Table("service", "messages", "a second", "its processor, ms each", "RabbitMQ's", "PostgreSQL's", box=None)
    for service, messages in TURNS:
        begun = await _handled(endpoints.databases[service])
        with ExitStack() as ending:
            started = _start(endpoints, logs, service, processes, ending)
            stack = Measurement(endpoints, list(started.values()), [*servers, *started])
            if messages:
                first, last = await stack.work_off(service, begun, messages * (load.orders + WARM_UP))
            else:
                await stack.place(load, WARM_UP)
                first = stack.tally(0)
                await stack.place(load, load.orders)
                last = stack.tally(load.orders)
        done, used = last.done - first.done, last.processor - first.processor
        of = [f"{used[name] / done:.2f}" for name in (service, "RabbitMQ", "PostgreSQL")]
        table.add_row(service, str(done), f"{done / (last.at - first.at):.0f}", *of)
    CONSOLE.print(f"{processes} of each service, one service at a time", table)


async def _measure(load: Load, stack: Measurement) -> None:
    orders = load.orders
    await stack.place(load, WARM_UP)
    await stack.settle()
    idle = await stack.look()
    await asyncio.sleep(IDLE)
    before = await stack.look()
    begun = time.monotonic()
    await stack.place(load, orders)
    accepted = time.monotonic()
    await stack.settle()
    after = await stack.look()
    CONSOLE.print(f"{orders / (accepted - begun):.0f} orders/s accepted, {orders / (after.at - begun):.0f}/s settled")
    _print("processor, ms", "an order", after.processor - before.processor, orders)
    _print("processor, ms", "a second, idle", before.processor - idle.processor, before.at - idle.at)
    _print("messages", "an order", after.messages - before.messages, orders)
    _print("transactions", "an order", after.commits - before.commits, orders)
    rows, stored = after.rows - before.rows, after.stored - before.stored
    _print("rows", "an order", Counter({" ".join(key): count for key, count in rows.items()}), orders)
    _print("bytes kept", "an order", Counter({" ".join(key): count for key, count in stored.items()}), orders)
    CONSOLE.print(f"write-ahead log of all databases: {(after.wal - before.wal) / orders:.0f} bytes an order")


async def _handled(database: str) -> int:
    """How many messages a service has handled, ever."""
    connection = await asyncpg.connect(database)
    try:
        return await connection.fetchval("SELECT count(*) FROM inbox")
    finally:
        await connection.close()


def _start(endpoints: Endpoints, logs: Path, service: str, count: int, ending: ExitStack) -> dict[Process, str]:
    """Start processes of a service side by side; returns them, all ready, with their addresses."""
    started: dict[Process, str] = {}
    for _ in range(count):
        port = next_free_port(8200)
        wiring = Wiring(endpoints.amqp, endpoints.databases, {service: port}, LIMITS, endpoints.api_keys)
        started[service_process(service, wiring, logs / str(port))] = f"http://{HOST}:{port}"
    for process in started:
        ending.callback(process.stop)
        process.launch()
    for process, address in started.items():
        process.wait_ready(lambda address=address: _ready(address), seconds=60)
    return started


def _ready(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/readyz", timeout=5).is_success
    except httpx2.TransportError:
        return False


def _wish(sku: str) -> dict[str, object]:
    return {
        "customer_id": "c-42",
        "currency": "EUR",
        "items": [{"sku": sku, "quantity": 1}],
        "payment_token": "tok_ok",
        "shipping_address": {"name": "A", "line1": "1 Main St", "city": "B", "postal_code": "10115", "country": "DE"},
    }


def _print(what: str, of: str, counted: Counter[str], by: float) -> None:
    table = Table(what, of, box=None)
    for name, count in counted.most_common():
        table.add_row(name, f"{count / by:.2f}")
    table.add_row("all", f"{counted.total() / by:.2f}")
    CONSOLE.print(table)


if __name__ == "__main__":
    typer.run(cost)
