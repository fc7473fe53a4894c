"""What a fault is, and what an injection of one is given."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

from tests.broker.proxy import Proxy
from tests.broker.rabbit import until
from tests.faults.figures import Span, finished, unfinished
from tests.faults.lab import Lab
from tests.faults.load import Load, Mix

Form = Literal["smoke", "short", "full"]


@dataclass(frozen=True)
class Pace:
    """How much load a fault meets."""

    rate: float
    """Orders a second."""
    orders: int
    """At least so many, half of them before the fault and during it."""
    patience: float
    """Seconds that what goes wrong for a while does so, at most."""

    def at(self, rate: float | None) -> "Pace":
        """The same at another rate, if one is given: then for at most 20 s at rest."""
        return self if rate is None else replace(self, rate=rate, orders=max(8, min(self.orders, int(20 * rate))))


PACES: dict[Form, Pace] = {
    "smoke": Pace(rate=20, orders=60, patience=2),
    "short": Pace(rate=20, orders=120, patience=5),
    "full": Pace(rate=50, orders=1_000, patience=60),
}


@dataclass(frozen=True)
class Note:
    """Something that was seen besides, and how much of it is allowed."""

    what: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        """Whether it is within its limit."""
        return self.value <= self.limit


@dataclass
class Trial:
    """A fault that is being done to a system under load."""

    lab: Lab
    load: Load
    pace: Pace
    dice: random.Random
    form: Form
    spans: list[Span] = field(default_factory=list[Span])
    notes: list[Note] = field(default_factory=list[Note])
    undone: list[str] = field(default_factory=list[str])
    """What was to be done, and could not be: the fault counts as not done, after all is judged."""
    proxies: Mapping[str, Proxy] = field(default_factory=dict[str, Proxy])
    """In front of a server, by the service that speaks to it through them."""

    def note(self, what: str, value: float, limit: float) -> None:
        """Keep what was seen for the report; beyond its limit the goal is not met."""
        self.notes.append(Note(what, value, limit))

    @contextmanager
    def harm(self) -> Generator[None]:
        """The fault lasts as long as the block: from its end on the recovery is timed."""
        fell = time.time()
        yield
        self.spans.append(Span(fell, time.time()))

    async def accepted(self, more: int, patience: float = 60) -> None:
        """Wait until so many more orders were accepted."""
        goal = len(self.load.accepted) + more

        async def reached() -> bool:
            return len(self.load.accepted) >= goal

        await until(reached, patience)

    async def flowing(self, patience: float = 90) -> None:
        """Wait until an order that was placed after the last harm is final."""
        database, since = self.lab.system.wiring.databases["order_api"], self.spans[-1].rose

        async def flows() -> bool:
            return bool(await finished(database, since))

        await until(flows, patience)

    async def caught_up(self, patience: float = 60) -> None:
        """Wait until every order that was placed before the end of the last harm is final; at most so long."""
        database, since = self.lab.system.wiring.databases["order_api"], self.spans[-1].rose

        async def none_left() -> bool:
            return not await unfinished(database, since)

        with contextlib.suppress(AssertionError):  # the recovery tells
            await until(none_left, patience)

    async def lasting(self, share: float = 1.0) -> None:
        """Let it go wrong for as long as this form of the run allows."""
        await asyncio.sleep(share * self.pace.patience)


Inject = Callable[[Trial], Awaitable[None]]
Around = Callable[[Trial], AbstractAsyncContextManager[None]]


def behind_proxies(what: Literal["AMQP", "DATABASE"], *names: str) -> Around:
    """Have these services speak to their broker or database through proxies of the trial's."""

    @asynccontextmanager
    async def behind(trial: Trial) -> AsyncGenerator[None]:
        async with trial.lab.behind_proxies(*names, what=what) as trial.proxies:
            yield

    return behind


def restarted(service: str, **environment: str) -> Around:
    """Have a service run with these variables besides."""

    @asynccontextmanager
    async def changed(trial: Trial) -> AsyncGenerator[None]:
        await trial.lab.restart(service, **environment)
        yield
        await trial.lab.restart(service)

    return changed


@dataclass(frozen=True)
class Goal:
    """How soon the system is to be itself again."""

    seconds: float
    figure: Literal["flow", "backlog"] = "flow"

    def __str__(self) -> str:
        what = "orders flow" if self.figure == "flow" else "every order is final"
        return f"{what} ≤ {self.seconds:g} s after it"


def _nothing() -> str:
    return ""


ORDINARY = Mix()
EVERYWHERE: frozenset[Form] = frozenset({"smoke", "short", "full"})


@dataclass(frozen=True)
class Fault:
    """A named case."""

    name: str
    number: int
    """Its line in the table of docs/faults.md."""
    what: str
    """What is done, in a line."""
    inject: Inject
    goal: Goal
    mix: Mix = ORDINARY
    around: Around | None = None
    """What must be made ready before there is any load, and is taken away when all is judged."""
    forms: frozenset[Form] = frozenset({"full"})
    spoils: bool = False
    """Messages are lost by design: every order must end all the same (I1 to I3), and the system is given up."""
    needs: Callable[[], str] = _nothing
    """Says why the fault cannot be done on this machine; nothing if it can."""
