"""Our pipeline, with all its services, as `./run up` starts them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from benchmarks.contender import PIECES, Contender, LineUp, Part, Servers
from benchmarks.products import products
from devstack.errors import StackError
from devstack.process import Process
from devstack.services import (
    API,
    CONSUMERS,
    HOST,
    SEEDED,
    SERVICES,
    Wiring,
    migration_job,
    seed_job,
    service_process,
    topology_job,
)
from rest.callers import new_token

KEYS = {"client": new_token(), "operator": new_token()}
"""Made good in the databases that all turns are cloned from."""
SETTINGS = {
    "ORDER_API_RATE_LIMIT": "1000000/second",  # all orders come with one key
    "ORDER_API_MOST_UNSENT": "1000000",  # none is to be refused
    "PAYMENT_GATEWAY_LATENCY": "0",  # nobody's remote ends take time: what is measured is the pipeline
    "SHIPPING_CARRIER_LATENCY": "0",
}
MOST_LINES = 100
"""Of an order."""
_SELL = """
    INSERT INTO products (sku, name, price, currency)
    SELECT sku, sku, price, 'EUR' FROM unnest($1::text[], $2::bigint[]) AS t (sku, price) ON CONFLICT DO NOTHING
"""
_STOCK = """
    INSERT INTO stock (sku, initial, on_hand, reserved, received, shipped)
    SELECT sku, $2::bigint, $2, 0, 0, 0 FROM unnest($1::text[]) AS t (sku)
    ON CONFLICT (sku) DO UPDATE SET initial = excluded.initial, on_hand = excluded.on_hand
"""
_JOB_SECONDS = 120
_NO_LOGS = Path()
"""Whoever runs a part decides where it logs."""


def prepare(databases: Mapping[str, str], services: Sequence[str] = SERVICES) -> None:
    """Make these services' tables, products and stock."""
    wiring = Wiring("", databases, dict.fromkeys(services, 0), {}, KEYS)
    with TemporaryDirectory() as folder:
        logs = Path(folder)
        _run_all([migration_job(service, wiring, logs) for service in services])
        _run_all([seed_job(service, wiring, logs) for service in SEEDED if service in services])
    asyncio.run(_stock_up(databases))


def _prepare_broker(amqp_url: str) -> None:
    with TemporaryDirectory() as folder:
        _run_all([topology_job(Wiring(amqp_url, {}, {}, {}, KEYS), Path(folder))])


def line_up(servers: Servers, port: Callable[[], int], replicas: int = 1) -> LineUp:
    """Return every service once, but so many of each that only consumes."""
    parts: list[Part] = []
    ports = {service: port() for service in SERVICES}
    for service in SERVICES:
        for number in range(1, (replicas if service in CONSUMERS else 1) + 1):
            its = ports if number == 1 else {**ports, service: port()}
            wiring = Wiring(
                servers.amqp_url,
                servers.databases,
                its,
                SETTINGS,
                KEYS,
                servers.management_url,
                readers=servers.databases,
            )
            command, environment = _command(service_process(service, wiring, _NO_LOGS))
            name = service if number == 1 else f"{service} {number}"
            parts.append(Part(name, command, environment, ready_url=f"http://{HOST}:{its[service]}/readyz"))
    return LineUp(parts, f"http://{HOST}:{ports[API]}", {"Authorization": f"Bearer {KEYS['client']}"})


def _command(process: Process) -> tuple[Sequence[str | Path], Mapping[str, str]]:
    return process.program.command, process.program.environment


def _run_all(jobs: list[Process]) -> None:
    for job in jobs:
        job.launch()
    for job in jobs:
        if job.wait(seconds=_JOB_SECONDS):
            raise StackError(f"{job.name} failed{job.log_end()}")


async def _stock_up(databases: Mapping[str, str]) -> None:
    """Have enough of every product, and products enough for orders of many lines."""
    prices = products(1) | products(MOST_LINES)
    shop, warehouse = [await asyncpg.connect(databases[service]) for service in (API, "inventory")]
    try:
        await shop.execute(_SELL, list(prices), list(prices.values()))
        await warehouse.execute(_STOCK, list(prices), PIECES)
    finally:
        await shop.close()
        await warehouse.close()


CONTENDER = Contender(
    name="ours",
    what="This repository: four services on FastStream and SQLModel, and the control room.",
    not_guaranteed=(),
    databases=SERVICES,
    prepare_databases=prepare,
    prepare_broker=_prepare_broker,
    line_up=line_up,
    unfinished="SELECT count(*) FROM orders WHERE next_deadline IS NOT NULL",
    finished="SELECT order_id::text, pg_xact_commit_timestamp(xmin) FROM orders WHERE next_deadline IS NULL",
)
