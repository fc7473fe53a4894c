"""A Celery chain on RabbitMQ."""

from collections.abc import Callable, Mapping

from benchmarks.contender import Contender, LineUp, Part, Servers
from benchmarks.peers import rows
from devstack.environments import python_with

HOST = "127.0.0.1"
API_THREADS = 16
WORKER_THREADS = 4
_TABLES = {
    "order_api": rows.ORDER_API,
    "payment": rows.PAYMENT,
    "inventory": rows.INVENTORY,
    "shipping": rows.SHIPPING,
}


def _prepare_databases(databases: Mapping[str, str]) -> None:
    rows.create({tables: databases[service] for service, tables in _TABLES.items()})


def _line_up(servers: Servers, port: Callable[[], int]) -> LineUp:
    python, http = python_with("bench"), port()
    urls = {f"{service.upper()}_DATABASE_URL": servers.databases[service] for service in _TABLES}
    environment = {"AMQP_URL": servers.amqp_url, **urls}

    def worker(service: str) -> Part:
        celery = ["-m", "celery", "--app", "benchmarks.peers.celery_chain.tasks", "worker", "--queues", service]
        pool = ["--pool", "threads", "--concurrency", str(WORKER_THREADS), "--hostname", f"{service}@%h"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
        threads = {"THREADS": str(WORKER_THREADS)}
        return Part(f"{service} worker", [python, *celery, *pool, *quiet], environment | threads, ready_line="is ready")

    app = "benchmarks.peers.celery_chain.api:api"
    tuned = ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    api = Part(
        "order_api",
        [python, "-m", "uvicorn", app, "--host", HOST, "--port", str(http), *tuned],
        environment | {"THREADS": str(API_THREADS)},
        ready_url=f"http://{HOST}:{http}/health",
    )
    return LineUp([api, *map(worker, _TABLES)], f"http://{HOST}:{http}")


CONTENDER = Contender(
    name="celery_chain",
    what="FastAPI commits the order and sends a Celery chain of six tasks (authorize, reserve, ship, capture, ship the "
    "stock, finish) through four quorum queues, each with a worker: four threads, which were faster here than prefork "
    "and solo, SQLAlchemy and psycopg, acknowledged late, publisher confirms, prefetch 64, no results. No timeline.",
    not_guaranteed=(
        "There is no outbox: an order whose API dies between its commit and the sending of its chain is never begun.",
        "There is no idempotency key: a customer who repeats a request that was not answered has two orders.",
        "A task that fails for good, by a bug or a stranger's message, is acknowledged: its chain is gone, unheard of.",
        "A worker that dies before it acknowledges sends the rest of the chain twice; only rows of our own stop that.",
        "A task that kills its worker comes back for ever (RabbitMQ 3), or is dropped after twenty times (RabbitMQ 4).",
        "The chain goes one way: nothing is undone when stock or carrier say no, and no order can be cancelled.",
    ),
    databases=tuple(_TABLES),
    prepare_databases=_prepare_databases,
    prepare_broker=lambda _: None,
    line_up=_line_up,
    unfinished=rows.UNFINISHED,
    finished=rows.FINISHED,
)
