"""What is lost between a service and its servers: confirms, the reply to a COMMIT, everything."""

import asyncio
import time

from devstack.services import API, CONSUMERS
from tests.broker.rabbit import until
from tests.faults.fault import EVERYWHERE, Fault, Goal, Trial, behind_proxies

CONFIRM = bytes.fromhex("003c0050")
"""AMQP 0-9-1: class basic, method ack; from the broker it is a publisher's confirm."""
COMMITTED = b"COMMIT\x00"
"""PostgreSQL's CommandComplete."""

ENOUGH = 5
"""Losses, at least, in a run."""


class Losing:
    """A proxy's decision to cut the connection in place of every `every`th reply of a kind, at most `most` times."""

    def __init__(self, reply: bytes, every: int, most: int) -> None:
        self._reply, self._every, self._left = reply, every, most
        self._seen = 0
        self.lost = 0

    def __call__(self, piece: bytes) -> bool:
        if self._left == 0 or self._reply not in piece:
            return False
        self._seen += 1
        if self._seen % self._every:
            return False
        self._left -= 1
        self.lost += 1
        return True


async def confirms_lost(trial: Trial) -> None:
    """The connection to RabbitMQ is reset in place of a publisher's confirm, again and again."""
    await _lose(trial, Losing(CONFIRM, every=10, most=8))


async def commits_lost(trial: Trial) -> None:
    """The connection to PostgreSQL is reset in place of the reply to a COMMIT, again and again."""
    await _lose(trial, Losing(COMMITTED, every=7, most=12))


async def _lose(trial: Trial, losing: Losing) -> None:
    async def enough() -> bool:
        return losing.lost >= ENOUGH

    with trial.harm():
        for proxy in trial.proxies.values():
            proxy.before_reply = losing
        await until(enough, 30)
        for proxy in trial.proxies.values():
            proxy.before_reply = None


async def broker_silent(trial: Trial) -> None:
    """Nothing passes between payment and RabbitMQ; the connections stay open."""
    trial.note("seconds until payment said that it is cut off", await _silent(trial, "payment"), 20)


async def database_silent(trial: Trial) -> None:
    """Nothing passes between the API and its PostgreSQL; the connections stay open."""
    before = len(trial.load.answers)
    trial.note("seconds until the API said that it cannot work", await _silent(trial, API), 5)
    slowest = max(answer.answered - answer.sent for answer in trial.load.answers[before:])
    trial.note("seconds of the slowest answer meanwhile", slowest, 6)


async def _silent(trial: Trial, service: str) -> float:
    """Hush its connections; returns the seconds until the service said so."""
    with trial.harm():
        began = time.monotonic()
        trial.proxies[service].hush()
        await trial.lab.unready(service, 40)
        noticed = time.monotonic() - began
        await asyncio.sleep(max(0.0, trial.pace.patience - noticed))
        trial.proxies[service].speak()
    return noticed


FAULTS = (
    Fault(
        "confirms-lost",
        14,
        "the connection is cut in place of a publisher's confirm: the relay sends again",
        confirms_lost,
        Goal(5),
        around=behind_proxies("AMQP", API, "payment"),
        forms=EVERYWHERE,
    ),
    Fault(
        "commits-lost",
        18,
        "the connection is cut in place of the reply to a COMMIT: every write is asked for again",
        commits_lost,
        Goal(5),
        around=behind_proxies("DATABASE", API, *CONSUMERS),
        forms=EVERYWHERE,
    ),
    Fault(
        "broker-silent",
        13,
        "a black hole between payment and RabbitMQ",
        broker_silent,
        Goal(10),
        around=behind_proxies("AMQP", "payment"),
    ),
    Fault(
        "database-silent",
        19,
        "a black hole between the API and its PostgreSQL",
        database_silent,
        Goal(5),
        around=behind_proxies("DATABASE", API),
    ),
)
