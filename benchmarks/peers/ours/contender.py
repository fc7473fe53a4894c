"""Our pipeline, with all its services, as `./run up` starts them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from benchmarks.contender import PIECES, PRODUCTS, Contender, LineUp, Part, Servers
from devstack.errors import StackError
from devstack.process import Process
from devstack.services import (
    API,
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
    asyncio.run(_stock_up(databases["inventory"]))


def _prepare_broker(amqp_url: str) -> None:
    with TemporaryDirectory() as folder:
        _run_all([topology_job(Wiring(amqp_url, {}, {}, {}, KEYS), Path(folder))])


def _line_up(servers: Servers, port: Callable[[], int]) -> LineUp:
    ports = {service: port() for service in SERVICES}
    wiring = Wiring(
        servers.amqp_url, servers.databases, ports, SETTINGS, KEYS, servers.management_url, readers=servers.databases
    )
    parts = [_part(service_process(service, wiring, _NO_LOGS), ports[service]) for service in SERVICES]
    return LineUp(parts, f"http://{HOST}:{ports[API]}", {"Authorization": f"Bearer {KEYS['client']}"})


def _part(process: Process, port: int) -> Part:
    program = process.program
    return Part(process.name, program.command, program.environment, ready_url=f"http://{HOST}:{port}/readyz")


def _run_all(jobs: list[Process]) -> None:
    for job in jobs:
        job.launch()
    for job in jobs:
        if job.wait(seconds=_JOB_SECONDS):
            raise StackError(f"{job.name} failed{job.log_end()}")


async def _stock_up(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            "UPDATE stock SET initial = $1, on_hand = $1 WHERE sku = ANY ($2)", PIECES, list(PRODUCTS)
        )
    finally:
        await connection.close()


CONTENDER = Contender(
    name="ours",
    what="This repository: four services on FastStream and SQLModel, and the control room.",
    not_guaranteed=(),
    databases=SERVICES,
    prepare_databases=prepare,
    prepare_broker=_prepare_broker,
    line_up=_line_up,
    unfinished="SELECT count(*) FROM orders WHERE next_deadline IS NOT NULL",
    finished="SELECT order_id::text, pg_xact_commit_timestamp(xmin) FROM orders WHERE next_deadline IS NULL",
)
