"""A durable workflow of DBOS on PostgreSQL."""

from collections.abc import Callable, Mapping

from benchmarks.contender import Contender, LineUp, Part, Servers
from benchmarks.peers import rows
from devstack.environments import python_with

HOST = "127.0.0.1"
PROCESSES = 2
THREADS = 8


def _prepare_databases(databases: Mapping[str, str]) -> None:
    for tables in (rows.ORDER_API, rows.PAYMENT, rows.INVENTORY, rows.SHIPPING):
        rows.create({tables: databases["orders"]})


def _line_up(servers: Servers, port: Callable[[], int]) -> LineUp:
    python, http = python_with("bench"), port()
    environment = {"DATABASE_URL": servers.databases["orders"], "THREADS": str(THREADS)}

    def process(number: int) -> Part:
        command = [python, "-m", "benchmarks.peers.dbos_workflow", str(http)]
        return Part(f"orders {number}", command, environment | {"EXECUTOR": str(number)}, ready_line="startup complete")

    return LineUp([process(number) for number in range(1, PROCESSES + 1)], f"http://{HOST}:{http}")


CONTENDER = Contender(
    name="dbos_workflow",
    what="FastAPI starts a durable workflow of DBOS, whose row in PostgreSQL is the promise; six steps (accept, "
    "authorize, reserve, ship, capture, finish), each a transaction of its own and then a checkpoint. Two processes "
    "with eight threads each, which took a third less processor time than coroutines did. No broker, no timeline.",
    not_guaranteed=(
        "There is no broker and one database: services cannot be deployed, scaled or lost one by one.",
        "A step's rows and its checkpoint are two transactions: a crash between them repeats it; own rows stop that.",
        "Workflows of a process that does not come back under its old name wait until somebody recovers them.",
        "A step that fails for good ends its workflow: nothing is undone or parked, no order can be cancelled.",
    ),
    databases=("orders",),
    prepare_databases=_prepare_databases,
    prepare_broker=lambda _: None,
    line_up=_line_up,
    # its order has no row until its first step
    unfinished="SELECT count(*) FROM dbos.workflow_status WHERE status = 'PENDING'",
    finished=rows.FINISHED,
)
