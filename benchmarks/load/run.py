"""Has Locust's customers order at a running stack, shows how it goes, and reads afterwards what became of it."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.load.journal import Line, Reader
from benchmarks.load.outcome import Depths, Outcome, Requests, Stand, read_stands, requests_of
from benchmarks.load.shapes import ShapeName
from devstack.endpoints import Endpoints
from devstack.environments import python_with
from devstack.errors import StackError
from devstack.paths import CHECKOUT
from devstack.process import Process
from devstack.queues import queues
from devstack.services import API, CONTROL_ROOM
from devstack.spawning import Program
from messaging.management import ManagementUnavailable, read_broker, virtual_host
from messaging.topology import UNROUTED, dead_letter_queue

LAST_ANSWERS = 10
"""Seconds that customers who are there at the end have, to see their orders through."""
PATIENCE = 60.0
"""Seconds after the last customer for all orders to be done."""
LOOKS = 5.0
"""Seconds between two looks at the queues."""
_POLL = 0.2

_IN_CUSTODY = "SELECT count(*) FROM dead_letters"


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    shape: ShapeName
    users: int
    seconds: int
    seed: int


class LoadRun:
    """One run against a stack, with its files in a folder: report.html, statistics.json, orders.jsonl, locust.log."""

    def __init__(self, endpoints: Endpoints, plan: Plan, folder: Path, console: Console) -> None:
        if not endpoints.rabbitmq_management:
            raise StackError("the stack's broker has no management API, which lists its queues: nothing could be said")
        self.report = folder / "report.html"
        self.deepest = 0
        """Messages that waited, or were being handled, in all queues together at the worst look."""
        self._endpoints, self._plan, self._console = endpoints, plan, console
        self._management = endpoints.rabbitmq_management
        self._statistics, self._orders = folder / "statistics", folder / "orders.jsonl"
        self._log = folder / "locust.log"
        folder.mkdir(parents=True, exist_ok=True)
        for file in (self.report, self._statistics.with_suffix(".json"), self._orders, self._log):
            file.unlink(missing_ok=True)

    def run(self, check: Callable[[], None]) -> Outcome:
        """Return what became of it. `check` is called meanwhile and may raise, when the stack has fallen."""
        parked = self._parked()
        customers, journal = self._customers(), Reader(self._orders)
        customers.launch()
        try:
            lines = self._watch(customers, journal, check)
        finally:
            customers.stop()
            journal.close()
        stands, waiting = self._settle(lines)
        return Outcome(lines, stands, self._requests(), Depths(waiting, self._parked() - parked))

    def _customers(self) -> Process:
        plan = self._plan
        command = ["-m", "locust", "--locustfile", "benchmarks/locustfile.py", "--host", self._endpoints.api]
        output = ["--html", str(self.report), "--json-file", str(self._statistics), "--only-summary"]
        options = ["--headless", "--stop-timeout", str(LAST_ANSWERS), "--exit-code-on-error", "0", *output]
        environment = {
            **os.environ,
            "API_KEY": self._endpoints.api_keys["client"],
            "LOAD_SEED": str(plan.seed),
            "LOAD_SHAPE": plan.shape,
            "LOAD_USERS": str(plan.users),
            "LOAD_SECONDS": str(plan.seconds),
            "LOAD_JOURNAL": str(self._orders),
        }
        return Process("Locust", Program([python_with("load"), *command, *options], environment, CHECKOUT, self._log))

    def _watch(self, customers: Process, journal: Reader, check: Callable[[], None]) -> list[Line]:
        """Show how it goes until the last customer has gone."""
        lines: list[Line] = []
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        begun = looked = time.monotonic()
        with Progress(*columns, console=self._console, transient=True) as shown:
            task = shown.add_task("Customers come", total=self._plan.seconds)
            while customers.running:
                check()
                lines += journal.new()
                if time.monotonic() - looked >= LOOKS:
                    waiting = sum(self._waiting().values())
                    self.deepest, looked = max(self.deepest, waiting), time.monotonic()
                    self._say(shown, f"{len(lines)} orders accepted, {waiting} messages on their way")
                shown.update(task, completed=time.monotonic() - begun)
                time.sleep(_POLL)
        if customers.returncode:
            raise StackError(f"Locust ended with status {customers.returncode}{customers.log_end()}")
        return [*lines, *journal.new()]

    def _say(self, shown: Progress, what: str) -> None:
        if self._console.is_terminal:
            shown.update(shown.task_ids[0], description=what)
        else:
            self._console.print(what, highlight=False)

    def _settle(self, lines: list[Line]) -> tuple[Mapping[str, Stand], Mapping[str, int]]:
        """Wait for the last order, and for the queues to be empty; or for as long as PATIENCE lasts."""
        accepted = [line.order_id for line in lines if line.endings]
        deadline = time.monotonic() + PATIENCE
        with self._console.status("Waiting for the last orders ..."):
            while True:
                stands = asyncio.run(read_stands(self._endpoints.databases[API], accepted))
                waiting = self._waiting()
                done = all(stand.settled for stand in stands.values()) and not waiting
                if done or time.monotonic() > deadline:
                    return stands, waiting
                time.sleep(_POLL)

    def _waiting(self) -> Mapping[str, int]:
        """Messages that wait or are being handled, in each queue that leads on by itself; about a second old."""
        try:
            broker = asyncio.run(read_broker(self._management, virtual_host(self._endpoints.amqp)))
        except ManagementUnavailable as away:
            raise StackError(f"RabbitMQ's management API: {away}") from away
        return {name: has.messages for name, has in broker.statistics.items() if has.messages and not _rests(name)}

    def _parked(self) -> int:
        """Messages that wait for a person, in queues (as of now) and in custody."""
        found = queues(self._endpoints.amqp, self._management)
        resting = sum(queue.depth for queue in found if _rests(queue.name))
        return resting + asyncio.run(_count(self._endpoints.databases[CONTROL_ROOM], _IN_CUSTODY))

    def _requests(self) -> list[Requests]:
        return [*requests_of(json.loads(self._statistics.with_suffix(".json").read_text()))]


def _rests(queue: str) -> bool:
    """Whether messages lie in this queue until a person, or the control room, takes them."""
    return queue == UNROUTED or queue.endswith(dead_letter_queue(""))


async def _count(database: str, question: str) -> int:
    connection = await asyncpg.connect(database)
    try:
        return int(await connection.fetchval(question))
    finally:
        await connection.close()
