"""RabbitMQ and PostgreSQL: killed, stopped, out of memory, full."""

import asyncio
import errno
import os
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from devstack.servers import PostgresServer
from devstack.services import API, SERVICES
from devstack.unprivileged import unprivileged_account
from tests.faults.fault import EVERYWHERE, Fault, Goal, Trial
from tests.faults.load import Mix

DOWN = 2.0
"""Seconds that a server stays away, at most."""
SPARE = 16 * 1024 * 1024
"""Bytes of a small disk beside what is put on it."""


async def broker_killed(trial: Trial) -> None:
    """RabbitMQ is killed; the API goes on accepting; RabbitMQ is started again."""
    lab = trial.lab
    with trial.harm():
        await asyncio.to_thread(lab.rabbitmq.kill)
        before, asked = len(trial.load.answers), time.monotonic()
        await trial.accepted(int(trial.pace.rate))
        unanswered = sum(
            answer.indeterminate for answer in trial.load.answers[before:] if answer.sent >= asked
        )  # those that were sent into its absence
        await asyncio.to_thread(lab.rabbitmq.start)
    trial.note("requests that the API could not answer meanwhile", unanswered, 0)


async def broker_killed_in_a_retry_storm(trial: Trial) -> None:
    """The same three times, while every other order waits in a retry tier."""
    for _ in range(3):
        with trial.harm():
            await asyncio.to_thread(trial.lab.rabbitmq.kill)
            await asyncio.to_thread(trial.lab.rabbitmq.start)
        await trial.flowing()


async def alarms(trial: Trial) -> None:
    """A memory alarm, then a disk alarm: publishers are blocked, consumers are not."""
    ctl = trial.lab.rabbitmq.ctl
    for raised, lowered in (
        (("set_vm_memory_high_watermark", "0.0001"), ("set_vm_memory_high_watermark", "0.4")),
        (("set_disk_free_limit", "1000GB"), ("set_disk_free_limit", "50MB")),
    ):
        with trial.harm():
            await asyncio.to_thread(ctl, *raised)
            await trial.lasting()
            await asyncio.to_thread(ctl, *lowered)
        await trial.flowing()


@asynccontextmanager
async def short_queue(trial: Trial) -> AsyncGenerator[None]:
    """A work queue takes 10 messages and no more (reject-publish)."""
    ctl, definition = trial.lab.rabbitmq.ctl, '{"max-length": 10, "overflow": "reject-publish"}'
    queue = r"^payment\.order\.created$"
    await asyncio.to_thread(ctl, "set_policy", "short", queue, definition, "--apply-to", "queues")
    yield
    await asyncio.to_thread(ctl, "clear_policy", "short")


async def queue_full(trial: Trial) -> None:
    """The queue's consumer is away until it is full, and for a while longer."""
    with trial.harm():
        await asyncio.to_thread(trial.lab.end, "payment")
        await trial.accepted(int(trial.pace.rate))
        await trial.lasting(0.5)
        await trial.lab.start("payment")


async def databases_stopped(trial: Trial) -> None:
    """Each PostgreSQL in turn is stopped as by a power cut, and started again; in the smoke form one of them."""
    servers = list({id(server): server for server in trial.lab.postgres.values()}.values())
    if trial.form == "smoke":
        servers = [trial.dice.choice(servers)]
    for server in servers:
        await _stopped(trial, server)
        await trial.flowing()


async def _stopped(trial: Trial, server: PostgresServer) -> None:
    with trial.harm():
        await asyncio.to_thread(server.immediate_stop)
        await asyncio.sleep(DOWN)
        await asyncio.to_thread(server.start)


async def connections_exhausted(trial: Trial) -> None:
    """PostgreSQL takes no more connections of a service's role, and ends those that it has."""
    for service in (API, "payment", "shipping"):
        with trial.harm():
            await _limit(trial, service, 0)
            await trial.lasting(0.2)
            await _limit(trial, service, -1)
        await trial.flowing()


async def _limit(trial: Trial, service: str, connections: int) -> None:
    server = trial.lab.postgres[service]
    database = trial.lab.system.wiring.databases[service].rpartition("/")[2]
    await _execute(
        server.url(database),
        f'ALTER ROLE "{service}" CONNECTION LIMIT {connections}',
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{service}'",  # noqa: S608 - ours
    )


def no_mount() -> str:
    """Why no disk can be had here; empty if one can."""
    return "" if os.geteuid() == 0 else "only root can mount a small disk"


@asynccontextmanager
async def small_disk(trial: Trial) -> AsyncGenerator[None]:
    """Shipping's outbox is on a disk of its own."""
    disk, url = _disk(trial), trial.lab.system.wiring.databases["shipping"]
    account = unprivileged_account()
    assert account is not None
    disk.mkdir()
    there = await _value(url, "SELECT pg_table_size('outbox')")  # faults before this one have filled it
    options = f"size={there + SPARE},uid={account.uid},gid={account.gid},mode=700"
    await asyncio.to_thread(_run, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk))
    try:
        await _execute(url, f"CREATE TABLESPACE small LOCATION '{disk}'")
        await _execute(url, "ALTER TABLE outbox SET TABLESPACE small")
        yield
        await _execute(url, "ALTER TABLE outbox SET TABLESPACE pg_default")
        await _execute(url, "DROP TABLESPACE small")
    finally:
        await asyncio.to_thread(_run, "umount", "--lazy", str(disk))
        disk.rmdir()  # the fault may be drawn again


async def disk_full(trial: Trial) -> None:
    """That disk is filled to its last byte, and emptied again."""
    filler = _disk(trial) / "filler"
    with trial.harm():
        await asyncio.to_thread(_fill, filler)
        await trial.lab.unready("shipping", 120)  # the table's own free pages are taken first
        await trial.lasting(0.2)
        filler.unlink()


def _disk(trial: Trial) -> Path:
    return trial.lab.postgres["shipping"].folder / "small"


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as full:
            if full.errno != errno.ENOSPC:
                raise


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - constants, and folders of ours


async def _value(url: str, question: str) -> int:
    connection: Any = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def _execute(url: str, *statements: str) -> None:

    connection: Any = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


FAULTS = (
    Fault(
        "broker-killed",
        6,
        "RabbitMQ is killed and started again; meanwhile the API accepts orders",
        broker_killed,
        Goal(5),
        forms=EVERYWHERE,
    ),
    Fault(
        "broker-killed-in-a-retry-storm",
        7,
        "RabbitMQ is killed three times while half of the orders wait in retry tiers",
        broker_killed_in_a_retry_storm,
        Goal(10),
        mix=Mix(flaky=0.4),
    ),
    Fault("alarms", 12, "memory alarm, then disk alarm: publishers are blocked", alarms, Goal(10)),
    Fault(
        "queue-full",
        16,
        "a work queue takes no more while its consumer is away",
        queue_full,
        Goal(10),
        around=short_queue,
    ),
    Fault(
        "databases-stopped",
        17,
        f"PostgreSQL is stopped at once, for {DOWN:g} s: that of each of the {len(SERVICES)} services in turn",
        databases_stopped,
        Goal(5),
        forms=EVERYWHERE,
    ),
    Fault(
        "connections-exhausted",
        20,
        "a service's role may have no connection to its database, and loses those that it has",
        connections_exhausted,
        Goal(10),
    ),
    Fault(
        "disk-full",
        20,
        "the disk on which shipping's outbox is has no byte left",
        disk_full,
        Goal(10),
        around=small_disk,
        needs=no_mount,
    ),
)
