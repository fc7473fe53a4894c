"""Remote ends that fail, and time that is not what it seems."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from devstack.services import API
from tests.e2e.system import TIERS
from tests.faults.fault import Fault, Goal, Trial, restarted
from tests.faults.load import Mix
from tests.invariants.books import ask

ATTEMPTS = 1 + len(TIERS.split(","))
HOUR = 3_600
SLOW = {"PAYMENT_GATEWAY_LATENCY": "5", "PAYMENT_GATEWAY_TIMEOUT": "30", "PAYMENT_PREPARE_TIMEOUT": "30"}
_SET = "application:set_env(rabbit, {}, {})"
_ATTEMPTS = "SELECT coalesce(max(attempts), 0) AS most FROM gateway_accounts"
_EARLY = "SELECT count(*) AS orders FROM orders WHERE redrives > 0"


async def gateway_fails(trial: Trial) -> None:
    """The card gateway answers 5xx twice to three of ten orders, before it works."""
    with trial.harm():
        await trial.lasting()
    attempts = (await ask(trial.lab.system.wiring.databases["payment"], _ATTEMPTS))[0][0]["most"]
    trial.note("attempts at the gateway for one order, at most", attempts, ATTEMPTS)


async def gateway_silent(trial: Trial) -> None:
    """The card gateway holds the money of one of ten orders, and its answer never comes."""
    with trial.harm():
        await trial.lasting()


@asynccontextmanager
async def impatient_broker(trial: Trial) -> AsyncGenerator[None]:
    """RabbitMQ takes a message back after 2 s instead of 30 min, for connections that are made meanwhile."""
    await _timeouts(trial, tick=500, limit=2_000)
    await trial.lab.restart("payment", **SLOW)
    yield
    await _patient_again(trial)


async def _patient_again(trial: Trial) -> None:
    await _timeouts(trial, tick=60_000, limit=1_800_000)
    await trial.lab.restart("payment")


async def _timeouts(trial: Trial, *, tick: int, limit: int) -> None:
    """How often RabbitMQ looks, and how long it waits: milliseconds."""
    settings = _SET.format("channel_tick_interval", tick), _SET.format("consumer_timeout", limit)
    await asyncio.to_thread(trial.lab.rabbitmq.ctl, "eval", f"{', '.join(settings)}.")


async def handler_too_slow(trial: Trial) -> None:
    """Payment takes longer for each order than the broker waits: every message is delivered again meanwhile."""
    log = trial.lab.rabbitmq.folder / "rabbitmq.log"
    with trial.harm():
        await trial.lasting(max(1.0, 10 / trial.pace.patience))
        await _patient_again(trial)
    taken_back = log.read_text(errors="replace").count("Timeout value used: 2000")
    trial.note("timeouts of deliveries that the broker did not log", float(not taken_back), 0)


async def clocks_differ(trial: Trial) -> None:
    """Payment's clock is an hour slow, then the API's an hour fast."""
    lab = trial.lab
    for service, seconds in (("payment", -HOUR), (API, HOUR)):
        with trial.harm():
            await lab.restart_by(service, "tests.faults.clock", str(seconds))
            await trial.accepted(trial.pace.orders // 4)
            await lab.restart(service)
        await trial.flowing()
    early = (await ask(lab.system.wiring.databases[API], _EARLY))[0][0]["orders"]
    trial.note("orders that were taken for overdue", early, 0)


FAULTS = (
    Fault(
        "gateway-fails",
        23,
        "the card gateway answers three of ten orders with errors before it works",
        gateway_fails,
        Goal(5),
        mix=Mix(flaky=0.3),
    ),
    Fault(
        "gateway-silent",
        24,
        "the card gateway holds the money of one of ten orders, and never answers",
        gateway_silent,
        Goal(5),
        mix=Mix(silent=0.1),
        around=restarted("payment", PAYMENT_GATEWAY_TIMEOUT="0.5"),
    ),
    Fault(
        "handler-too-slow",
        25,
        "a handler takes longer than the broker's consumer timeout",
        handler_too_slow,
        Goal(60, "backlog"),  # what came again is handled one by one
        around=impatient_broker,
    ),
    Fault("clocks-differ", 26, "payment's clock is an hour slow, the API's an hour fast", clocks_differ, Goal(10)),
)
