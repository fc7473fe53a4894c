"""Services that are killed at named points, by chance, or frozen; and that end as a deploy ends them."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from devstack.process import Process
from devstack.services import API, CONSUMERS, CONTROL_ROOM, SERVICES
from messaging.edge import Step
from tests.broker.rabbit import until
from tests.faults import jobs, points
from tests.faults.fault import EVERYWHERE, Fault, Form, Goal, Trial
from tests.faults.load import Mix
from tests.faults.points import Kill
from tests.faults.provoke import nothing_left_to_replay, prepared, provoking
from tests.invariants.books import ask

PATIENCE = 60
"""Seconds until a process that does not come by its point counts as not killed."""

_KILLS: Mapping[Form, Sequence[Kill]] = {"smoke": points.FEW, "short": points.TEN, "full": points.ALL}
_UNSAID = """
    SELECT extract(epoch FROM max(coalesce(sent_at, now()) - created_at)) AS seconds FROM outbox
    WHERE created_at > now() - interval '2 minutes'
"""


async def crash_points(trial: Trial, only: Sequence[Kill] = (), patience: float = PATIENCE) -> None:
    """Kill services at points, each at one after the other; then jobs. It fails if one did not come by its point."""
    kills = only or _KILLS[trial.form]
    chains = [found for name in SERVICES if (found := [kill for kill in kills if kill.process == name])]
    missed: list[Kill] = []
    if trial.form == "full":
        for chain in chains:
            with trial.harm():
                missed += await _chain(trial, chain, patience)
            await trial.flowing()
            await nothing_left_to_replay(trial.lab)  # bystanders of so many kills: an operator sends them again
            await trial.caught_up()  # the next service's kills are not to be counted among this one's
    else:
        with trial.harm():
            missed += itertools.chain(*await asyncio.gather(*(_chain(trial, chain, patience) for chain in chains)))
    if any(kill.process == CONTROL_ROOM for kill in kills):
        await nothing_left_to_replay(trial.lab)
    missed += [kill for kill in kills if kill.process not in SERVICES and not await jobs.killed(trial.lab, kill)]
    trial.note(f"crash points that nobody was killed at, of {len(kills)}", len(missed), 0)
    trial.undone += [f"{kill} was not killed" for kill in missed]


async def _chain(trial: Trial, kills: Sequence[Kill], patience: float) -> list[Kill]:
    """Kill one service at these points, one after the other; returns those that it did not come by."""
    name, missed = kills[0].process, list[Kill]()
    for kill in kills:
        await asyncio.to_thread(trial.lab.end, name, signal.SIGTERM)
        await prepared(trial, kill)
        async with provoking(trial, kill):
            if not await _died(_armed(trial, kill), patience):
                missed.append(kill)
    await asyncio.to_thread(trial.lab.end, name, signal.SIGTERM)
    await trial.lab.start(name)
    return missed


def _armed(trial: Trial, kill: Kill) -> Process:
    """The service, started so that it dies at that point."""
    environment = {"CRASH_AT": kill.point}
    if kill.step is Step.REPLAY_PUBLISH:
        environment["OPERATIONS_REPLAY_LEASE"] = "1"
    # a message that goes back to its queue does so after twenty minutes, unless the process is impatient
    launcher = ("tests.faults.impatient",) if kill.step is Step.MESSAGE_REQUEUE else ()
    return trial.lab.launch(kill.process, *launcher, **environment)


async def _died(process: Process, patience: float) -> bool:
    """Whether it was killed at its point."""

    async def ended() -> bool:
        return not process.running

    try:
        await until(ended, patience)
    except AssertionError:
        return False
    assert process.returncode == -signal.SIGKILL, f"{process.name} ended with {process.returncode}{process.log_end()}"
    return True


async def workers_killed(trial: Trial) -> None:
    """Every few seconds a worker, drawn by lot, is killed and started again."""
    before, ends = len(trial.load.answers), time.monotonic() + 2 * trial.pace.patience
    while time.monotonic() < ends:
        victim = trial.dice.choice((*CONSUMERS, CONTROL_ROOM))
        with trial.harm():
            await asyncio.to_thread(trial.lab.end, victim)
            await trial.lab.start(victim)
        await asyncio.sleep(max(0.0, min(5.0, ends - time.monotonic())))
    errors = sum(answer.indeterminate for answer in trial.load.answers[before:])
    trial.note("requests that the API answered with 5xx, or not at all", errors, 0)


async def deployed(trial: Trial) -> None:
    """Each service is asked to end, as a deploy does, and started again."""
    slowest, statuses = 0.0, list[int]()
    for name in SERVICES:
        began = time.monotonic()
        with trial.harm():
            statuses.append(await asyncio.to_thread(trial.lab.end, name, signal.SIGTERM))
            slowest = max(slowest, time.monotonic() - began)
            await trial.lab.start(name)
        await trial.flowing()
    trial.note("seconds that the slowest service took to end", slowest, 15)
    killed = sum(status not in {0, -signal.SIGTERM} for status in statuses)
    trial.note("services that did not end in good order", killed, 0)


async def consumer_frozen(trial: Trial) -> None:
    """One of payment's two processes stands still, and wakes up as a zombie."""
    await _frozen(trial, "payment", 25.0)


async def relay_frozen(trial: Trial) -> None:
    """One of the API's two processes stands still amid orders that are stored and not said; the other one says them."""
    await _frozen(trial, API, 25.0)
    waited = (await ask(trial.lab.system.wiring.databases[API], _UNSAID))[0][0]["seconds"]
    trial.note("seconds until every event of the API was said", float(waited), 10)


async def _frozen(trial: Trial, service: str, limit: float) -> None:
    """Freeze one of two processes; the clock of the recovery runs from the freeze on."""
    lab = trial.lab
    [other] = await lab.system.start([service], replica="second")
    victim = lab.system.named(service)
    port = other.program.environment[f"{service.upper()}_HTTP_PORT"]
    if service == API:
        trial.load.apis.append(f"http://127.0.0.1:{port}")
    await trial.accepted(trial.pace.orders // 8)
    with trial.harm():
        os.kill(victim.pid, signal.SIGSTOP)
        if service == API:
            trial.load.apis.remove(lab.system.api)
    try:
        await asyncio.sleep(max(limit, trial.pace.patience))
    finally:
        os.kill(victim.pid, signal.SIGCONT)
    await trial.accepted(trial.pace.orders // 8)
    if service == API:
        trial.load.apis[:] = [lab.system.api]
    await asyncio.to_thread(lab.system.stop, [other])


CRASH_POINTS = Fault(
    "crash-points",
    1,
    "services are killed at named crash points between commit, publish, acknowledgement and remote call",
    crash_points,
    Goal(15, "backlog"),
    mix=Mix(flaky=0.15),
    forms=EVERYWHERE,
)


def at_points(form: Form, named: Collection[str]) -> Fault:
    """The same at those points alone whose names (`payment at message.ack.before`) hold one of these.

    Raises LookupError if that form has none.
    """
    kills = [kill for kill in _KILLS[form] if any(name in str(kill) for name in named)]
    if not kills:
        raise LookupError(f"no crash point of the {form} form is named like {', '.join(named)}")
    return replace(CRASH_POINTS, inject=partial(crash_points, only=kills))


FAULTS = (
    CRASH_POINTS,
    Fault("workers-killed", 2, "every 5 s a worker, drawn by lot, is killed", workers_killed, Goal(5)),
    Fault("consumer-frozen", 3, "one of two processes of payment stands still", consumer_frozen, Goal(25, "backlog")),
    Fault("relay-frozen", 4, "one of two processes of the API stands still", relay_frozen, Goal(25, "backlog")),
    Fault("deployed", 5, "each service is asked to end, and started again", deployed, Goal(5)),
)
