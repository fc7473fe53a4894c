"""Does one fault to a system under load, waits until nothing moves, and judges what is left."""

import asyncio
import math
import random
import time
import zlib
from collections import Counter
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.broker.rabbit import until
from tests.faults.fault import PACES, Fault, Form, Trial
from tests.faults.figures import Recovery, finished, recovery
from tests.faults.lab import Lab
from tests.faults.load import Load
from tests.invariants.books import ask
from tests.invariants.checker import NotDrained
from tests.invariants.expectations import Parked, Violation

DRAIN_SECONDS = 240
"""Patience until nothing moves: what a full queue refused, RabbitMQ's own dead-lettering from a tier offers it again
every 10 s (deploy/rabbitmq/advanced.config), some of it each time."""
LOOK_AGAIN = 10.0
"""Seconds after which what seems wrong is looked at again. No outbox has a broken message: whether it is in somebody's
hands is told by RabbitMQ's statistics alone, which were five seconds old on a busy machine."""
_ALL = tuple(f"I{number}" for number in range(1, 10))
_SPOILT = ("I1", "I2", "I3", "I4")
_UNSETTLED = "SELECT count(*) AS orders FROM orders WHERE next_deadline IS NOT NULL"


@dataclass
class Outcome:
    """What came of a fault: all that the report shows."""

    name: str
    number: int
    what: str
    goal: str
    seed: int
    planned_rate: float
    held_rate: float = 0.0
    """Orders a second that were asked for."""
    accepted: int = 0
    lost: int = 0
    """Violations of I1, I5, I6 and I8: an order, or a message, that is nowhere."""
    doubled: int = 0
    """Violations of I2, I3, I4 and I7: money, goods or messages that do not add up."""
    indeterminate: int = 0
    """Requests whose client could not know what became of them; it asked again under the same key."""
    unknown: int = 0
    """Orders of which no client ever learned."""
    answers: dict[str, int] = field(default_factory=dict[str, int])
    """How often each status was answered; "none" where nothing came."""
    recovery: Recovery | None = None
    notes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    goal_met: bool = False
    violations: list[str] = field(default_factory=list[str])
    error: str = ""
    """Why it could not be done; then nothing is shown by it."""
    skipped: str = ""
    """Why it cannot be done on this machine."""
    seconds: float = 0.0

    @property
    def safe(self) -> bool:
        """Whether it was done, and no invariant is broken."""
        return not self.violations and not self.error


def seed_of(run: int, fault: str, turn: int) -> int:
    """What a fault's dice begin with, in its first or a later turn of a run.

    Ids and idempotency keys are thrown, too: with the same ones again, its customers would only repeat themselves.
    """
    return zlib.crc32(f"{run} {fault}{'' if turn == 1 else f' {turn}'}".encode())


async def do(lab: Lab, fault: Fault, form: Form, seed: int, rate: float | None = None) -> Outcome:
    """Do a fault; what it breaks is told in the outcome, not raised."""
    pace = PACES[form].at(rate)
    load = Load(lab, pace.rate, seed, fault.mix)
    trial = Trial(lab, load, pace, random.Random(seed), form)  # noqa: S311 - a test's dice
    outcome = Outcome(fault.name, fault.number, fault.what, str(fault.goal), seed, pace.rate)
    outcome.skipped = fault.needs()
    if outcome.skipped:
        return outcome
    began = time.monotonic()
    try:
        async with fault.around(trial) if fault.around else nullcontext():
            await _under_load(fault, trial, outcome)
            await _judge(lab, outcome, _SPOILT if fault.spoils else _ALL)
        outcome.error = "; ".join(trial.undone)
    except Exception as error:  # noqa: BLE001 - told, whatever it is: the other faults are still to be done
        outcome.error = f"{type(error).__name__}: {error}"
    outcome.accepted = len(load.accepted)
    outcome.indeterminate = sum(answer.indeterminate for answer in load.answers)
    outcome.unknown = load.unknown
    outcome.answers = dict(Counter(str(answer.status or "none") for answer in load.answers))
    outcome.violations += sorted(set(load.wrong))
    outcome.notes = [{**asdict(note), "met": note.met} for note in trial.notes]
    outcome.seconds = time.monotonic() - began
    return outcome


async def _under_load(fault: Fault, trial: Trial, outcome: Outcome) -> None:
    """Order, do the fault, order on until orders flow again and there are enough; see how they fared."""
    load, lab, pace, over = trial.load, trial.lab, trial.pace, asyncio.Event()
    began, clock = time.time(), time.monotonic()
    loading = asyncio.create_task(load.run(over))
    try:
        await trial.accepted(pace.orders // 4)
        await fault.inject(trial)
        await trial.flowing()
        await trial.accepted(max(pace.orders // 8, pace.orders - len(load.accepted)), 120)
        outcome.held_rate = load.planned / (time.monotonic() - clock)
    finally:
        over.set()
        await asyncio.wait({loading})
        lab.expected.history += load.answers
        lab.expected.endings |= load.accepted
    loading.result()
    await lab.all_ready()
    try:
        await (_settled(lab) if fault.spoils else lab.checker.drain(DRAIN_SECONDS))
    except NotDrained as moving:
        outcome.violations.append(f"I5: not drained {moving}")
        outcome.lost += 1
    found = recovery(await finished(lab.system.wiring.databases["order_api"], began), trial.spans)
    outcome.recovery = found
    took = found.flow if fault.goal.figure == "flow" else found.backlog
    outcome.goal_met = not math.isnan(took) and took <= fault.goal.seconds and all(note.met for note in trial.notes)


async def _settled(lab: Lab) -> None:
    """Wait until nothing more is expected of any order."""

    async def settled() -> bool:
        return not (await ask(lab.system.wiring.databases["order_api"], _UNSETTLED))[0][0]["orders"]

    await until(settled, DRAIN_SECONDS)


async def _judge(lab: Lab, outcome: Outcome, invariants: Collection[str]) -> None:
    """Compare what is left with what clients were told since the system was started."""
    found = await _wrong(lab, invariants)
    if found:
        await asyncio.sleep(LOOK_AGAIN)
        found = await _wrong(lab, invariants)
    outcome.violations += [str(violation) for violation in found]
    counted = Counter(violation.invariant for violation in found)
    outcome.lost += sum(counted[name] for name in ("I1", "I5", "I6", "I8"))
    outcome.doubled += sum(counted[name] for name in ("I2", "I3", "I4", "I7"))


async def _wrong(lab: Lab, invariants: Collection[str]) -> list[Violation]:
    everything = await lab.checker.violations(lab.expected.endings, await _parked(lab), lab.expected.history)
    return [violation for violation in everything if violation.invariant in invariants]


async def _parked(lab: Lab) -> list[Parked]:
    """What is to be parked; of the poison that the broker did not confirm, whatever is."""
    if not lab.expected.uncertain:
        return lab.expected.parked
    there = {
        Parked(name.removesuffix(".dlq"), letter.order_id, letter.error)
        for name, queue in (await lab.checker.queues()).items()
        for letter in queue.dead_letters
    }
    return [*lab.expected.parked, *(lab.expected.uncertain & there)]
