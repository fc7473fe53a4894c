"""Jobs that pass crash points of their own: they are killed there, and run again to their end."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devstack.paths import CHECKOUT
from devstack.services import API, SERVICES
from messaging.asyncapi.reading import DOCUMENT
from tests.faults.lab import Lab
from tests.faults.points import MOVE, Kill
from tests.invariants.books import ask

QUEUE = "payment.order.created"
"""Whose arguments are changed."""
_SETTLED = (
    "SELECT order_id::text FROM orders WHERE state = 'ready' AND next_deadline IS NULL ORDER BY order_id DESC LIMIT 3"
)


async def killed(lab: Lab, kill: Kill) -> bool:
    """Run the job until it is killed at the point, and again; returns whether it was."""
    return await (_move(lab, kill) if kill.process == MOVE else _erase(lab, kill))


async def _erase(lab: Lab, kill: Kill) -> bool:
    """Erase three settled orders in each service's database."""
    databases = lab.system.wiring.databases
    orders = "\n".join(row["order_id"] for row in (await ask(databases[API], _SETTLED))[0])
    ended: list[int] = []
    for service in SERVICES:
        finish = ("order_api", "erase", "finish", "--by", "faults")
        job = finish if service == API else ("messaging", "erase", service)
        url = {f"{service.upper()}_DATABASE_URL": databases[service]}
        ended.append(await _run(lab, *job, environment={**url, "CRASH_AT": kill.point}, told=orders))
        assert await _run(lab, *job, environment=url, told=orders) == 0, f"{job} did not end well after it was killed"
    return ended == [-signal.SIGKILL] * len(SERVICES)


async def _move(lab: Lab, kill: Kill) -> bool:
    """Make a work queue anew that holds messages: at first with other arguments, then as it was."""
    document = DOCUMENT if kill.side == "after" else _changed(lab.system.folder / "changed.json")
    wiring = lab.system.wiring
    servers = {"AMQP_URL": wiring.amqp_url, "RABBITMQ_MANAGEMENT_URL": lab.system.management_url}
    job = ("messaging", "topology", "apply", "--migrate", "--document", str(document))
    await asyncio.to_thread(lab.end, "payment")
    await asyncio.sleep(1)  # orders gather in the queue
    died = await _run(lab, *job, environment={**servers, "CRASH_AT": kill.point})
    await lab.start("payment")
    assert await _run(lab, *job, environment=servers) == 0, "the move did not end well after it was killed"
    return died == -signal.SIGKILL


def _changed(path: Path) -> Path:
    document: Any = json.loads(DOCUMENT.read_text())
    document["channels"][QUEUE]["bindings"]["amqp"]["queue"]["x-arguments"]["x-delivery-limit"] += 10
    path.write_text(json.dumps(document))
    return path


async def _run(lab: Lab, *job: str, environment: Mapping[str, str], told: str = "") -> int:
    with (lab.system.folder / "jobs.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *job,
            cwd=CHECKOUT,
            env={**os.environ, **lab.system.wiring.extra, **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        await process.communicate(told.encode())
    assert process.returncode is not None
    return process.returncode
