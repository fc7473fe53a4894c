"""The limit: what the same drivers can carry in plain CPython, without anything that is not the work itself."""

from collections.abc import Callable, Mapping

from benchmarks.contender import Contender, LineUp, Part, Servers
from benchmarks.peers.ours.contender import CONTENDER as OURS
from benchmarks.peers.ours.contender import prepare
from devstack.environments import python_with
from devstack.services import API, CONSUMERS, HOST


def _prepare_databases(databases: Mapping[str, str]) -> None:
    prepare(databases, (API, *CONSUMERS))


def _line_up(servers: Servers, port: Callable[[], int]) -> LineUp:
    python, http = python_with("bench"), port()

    def part(service: str, command: list[str], **ready: str) -> Part:
        environment = {"AMQP_URL": servers.amqp_url, "DATABASE_URL": servers.databases[service]}
        return Part(service, [python, "-m", *command], environment, **ready)

    tuned = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    api = ["uvicorn", "benchmarks.peers.limit.api:app", "--host", HOST, "--port", str(http), *tuned]
    consumers = [
        part(service, ["benchmarks.peers.limit.service", service], ready_line="ready") for service in CONSUMERS
    ]
    return LineUp(
        [part(API, api, ready_url=f"http://{HOST}:{http}/"), *consumers],
        f"http://{HOST}:{http}",
    )


CONTENDER = Contender(
    name="limit",
    what=(
        "A yardstick: our tables, queues, messages and rows, by aiormq and asyncpg alone. Groups of up to 200 messages "
        "in one statement, confirms in flight together, multiple acks, a bare ASGI application on uvicorn with "
        "httptools and uvloop; four processes."
    ),
    not_guaranteed=(
        "Only orders that end well are handled: no refusal, no cancellation, nothing is undone.",
        "No relay sends what a crash left in the outbox, and nothing looks for orders that stand still.",
        "No retry, no dead letters: one bad message ends its process, again and again.",
        "A server that goes away ends its processes. Nobody checks input, or who asks; no logs, no metrics, no traces.",
    ),
    databases=(API, *CONSUMERS),
    prepare_databases=_prepare_databases,
    prepare_broker=OURS.prepare_broker,
    line_up=_line_up,
    unfinished=OURS.unfinished,
    finished=OURS.finished,
)
