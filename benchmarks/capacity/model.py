"""The simulation: an order's way through queues, services that work in groups, and processors that all share.

An order is a request and ten deliveries. Each service is as many processes as there are replicas; a process handles
what waits as one group, which takes its own thread, then PostgreSQL (messaging/unit.py). Deliveries gather as long as
the last group of them took; requests, in groups of their own, do not. Meanwhile RabbitMQ carries what was said, and
writes it down. Processors are taken first come, first served. Not simulated: redeliveries, retries, orders that end
badly, and what memory and disks hold.
"""

import random
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

from benchmarks.capacity.costs import Costs
from messaging.settings import ServiceSettings
from messaging.unit import LONGEST_GATHERING

API = "order_api"
REQUEST = "POST /orders"
GROUP_SIZE: int = ServiceSettings.model_fields["group_size"].default
SLICE = 0.005
"""Seconds for which a processor is kept at most, before somebody else has a turn."""
REQUEST_WEIGHT = 2
"""A request costs the order API about what two events do (docs/scaling.md)."""
SAMPLE_SECONDS = 0.25
BROKER = "RabbitMQ"

HEARD: Mapping[str, Sequence[str]] = {
    REQUEST: (API,),
    "order.created": ("payment",),
    "payment.authorized": ("inventory", API),
    "inventory.reserved": ("shipping", API),
    "shipping.ready": ("payment", "inventory", API),
    "payment.captured": (API,),
    "inventory.shipped": (API,),
}
"""Who hears what, on the way of an order that ends well."""
SAID: Mapping[tuple[str, str], str] = {
    (API, REQUEST): "order.created",
    ("payment", "order.created"): "payment.authorized",
    ("inventory", "payment.authorized"): "inventory.reserved",
    ("shipping", "inventory.reserved"): "shipping.ready",
    ("payment", "shipping.ready"): "payment.captured",
    ("inventory", "shipping.ready"): "inventory.shipped",
}
"""What a service says when it has heard that."""
SERVICES = (API, "payment", "inventory", "shipping")


def messages(service: str) -> int:
    """Return how many requests and deliveries of an order a service handles."""
    return sum(service in by for by in HEARD.values())


def weigh(heard: Iterable[str]) -> int:
    """Return how many messages these cost as much as."""
    return sum(REQUEST_WEIGHT if event == REQUEST else 1 for event in heard)


WORK: Mapping[str, int] = {name: weigh(event for event, by in HEARD.items() if name in by) for name in SERVICES}
"""How many messages of an order each service handles, a request counted as what it costs."""


@dataclass(frozen=True)
class Scenario:
    """What is asked. Rates are orders a second, times seconds."""

    rate: float
    seconds: float
    """For how long customers order; then everything runs empty."""
    spike: float = 0.0
    """The rate between `begin` and `end`, if it is not 0."""
    outage: str = ""
    """A service, or RabbitMQ, that is away between `begin` and `end`."""
    begin: float = 0.0
    end: float = 0.0
    replicas: Mapping[str, int] = field(default_factory=dict[str, int])
    processors: int = 2
    seed: int = 0


@dataclass
class Forecast:
    """What became of it."""

    placed: list[float] = field(default_factory=list[float])
    """When each order that was finished had been placed, ..."""
    latency: list[float] = field(default_factory=list[float])
    """... and how long it took."""
    at: list[float] = field(default_factory=list[float])
    depth: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """How many messages waited for each service at these moments."""
    busy: dict[str, float] = field(default_factory=dict[str, float])
    """Which part of the time a process of each service, and the processors, were busy while customers ordered."""
    groups: Counter[str] = field(default_factory=Counter[str])
    """How many groups each service handled."""
    drained: float | None = None
    """Seconds from the end of spike or outage until the last order that had been placed by then was finished."""
    finished_rate: float = 0.0

    @property
    def bottleneck(self) -> str:
        """What is busiest: it is what gives way first."""
        return max(self.busy, key=self.busy.__getitem__)


@dataclass(slots=True)
class Order:
    """An order on its way."""

    placed: float
    left: int = sum(API in by for event, by in HEARD.items() if event != REQUEST)
    """Events that the order API has yet to hear of it."""


_Item = tuple[Order, str]


class _Service:
    """The processes of one service, and what waits for them: deliveries, and requests, for which nobody gathers."""

    def __init__(self, world: "World", name: str, replicas: int) -> None:
        self.name = name
        self.worked = 0.0
        self.replicas = replicas
        self.world = world
        kinds = (LONGEST_GATHERING, 0.0) if name == API else (LONGEST_GATHERING,)
        self._lanes = [_Lane(self, gathering) for gathering in kinds]
        for _ in range(replicas):
            thread = simpy.Resource(world.env)
            for lane in self._lanes:
                world.env.process(lane.run(thread))

    @property
    def waiting(self) -> int:
        """How many messages do."""
        return sum(len(lane.waiting) for lane in self._lanes)

    def put(self, items: Sequence[_Item]) -> None:
        """Let them wait, all requests or all deliveries."""
        self._lanes[-1 if items[0][1] == REQUEST else 0].put(items)


class _Lane:
    """What a service does in groups of their own."""

    def __init__(self, service: _Service, gathering: float) -> None:
        self.waiting: deque[_Item] = deque()
        self._service, self._gathering = service, gathering
        self._ready = service.world.env.event()

    def put(self, items: Sequence[_Item]) -> None:
        """Let them wait."""
        self.waiting += items
        if not self._ready.triggered:
            self._ready.succeed()

    def run(self, thread: simpy.Resource) -> Generator[Any]:
        """Handle groups for ever, in a process that has one thread for all its lanes."""
        service, world = self._service, self._service.world
        env, name = world.env, service.name
        while True:
            if not self.waiting:
                self._ready = env.event() if self._ready.triggered else self._ready
                yield self._ready
                continue
            if (away := world.until_back(name)) > 0:
                yield env.timeout(away)
                continue
            group = [self.waiting.popleft() for _ in range(min(GROUP_SIZE, len(self.waiting)))]
            began, weight = env.now, weigh(event for _, event in group)
            own = world.costs.services[name].of(weight)
            with thread.request() as turn:  # pyright: ignore[reportUnknownVariableType] - of simpy
                yield turn
                yield from world.work(own)
            service.worked += own
            yield from world.work(world.costs.postgresql.of(weight))
            world.forecast.groups[name] += 1
            env.process(world.said(name, group, weight))
            if len(self.waiting) < GROUP_SIZE:
                yield env.timeout(min(env.now - began, self._gathering))


class World:
    """A simulation that runs."""

    def __init__(self, costs: Costs, scenario: Scenario) -> None:
        self.env = simpy.Environment()
        self.costs, self.scenario, self.forecast = costs, scenario, Forecast()
        self._processors = simpy.Resource(self.env, capacity=scenario.processors)
        self._worked = 0.0
        self.open = 0
        self.services = {name: _Service(self, name, scenario.replicas.get(name, 1)) for name in SERVICES}

    def until_back(self, who: str) -> float:
        """For how many seconds it is still away."""
        wanted = self.scenario
        gone = wanted.outage == who and wanted.begin <= self.env.now < wanted.end
        return wanted.end - self.env.now if gone else 0.0

    def work(self, seconds: float) -> Generator[Any]:
        """Have a processor for so long, a slice at a time."""
        self._worked += seconds
        while seconds > 0:
            with self._processors.request() as turn:  # pyright: ignore[reportUnknownVariableType] - of simpy
                yield turn
                yield self.env.timeout(min(seconds, SLICE))
            seconds -= SLICE

    def said(self, service: str, group: Sequence[_Item], weight: float) -> Generator[Any]:
        """Publish what a group says; then whoever hears it has it."""
        if (away := self.until_back(BROKER)) > 0:
            yield self.env.timeout(away)
        yield from self.work(self.costs.rabbitmq.of(weight))
        yield self.env.timeout(self.costs.wait / 1000)
        heard: dict[str, list[_Item]] = {}
        for order, event in group:
            if service == API and event != REQUEST:
                self._told(order)
            elif event := SAID.get((service, event), ""):
                for name in HEARD[event]:
                    heard.setdefault(name, []).append((order, event))
        for name, items in heard.items():
            self.services[name].put(items)

    def _told(self, order: Order) -> None:
        order.left -= 1
        if not order.left:
            self.open -= 1
            self.forecast.placed.append(order.placed)
            self.forecast.latency.append(self.env.now - order.placed)

    def customers(self) -> Generator[Any]:
        """Let them come."""
        for moment in _arrivals(self.scenario):
            yield self.env.timeout(moment - self.env.now)
            self.open += 1
            self.env.process(self._place())

    def _place(self) -> Generator[Any]:
        order = Order(self.env.now)
        yield from self.work(self.costs.customer / 1000)
        self.services[API].put([(order, REQUEST)])

    def watch(self) -> Generator[Any]:
        """Look at what waits, now and then; at the end of the ordering, at how busy everybody was."""
        forecast, seconds = self.forecast, self.scenario.seconds
        while True:
            forecast.at.append(self.env.now)
            for name, service in self.services.items():
                forecast.depth.setdefault(name, []).append(service.waiting)
            if self.env.now >= seconds and not forecast.busy:
                forecast.busy = {name: each.worked / each.replicas / seconds for name, each in self.services.items()}
                forecast.busy["processors"] = self._worked / self.scenario.processors / seconds
            if self.env.now > seconds and not self.open:
                return
            yield self.env.timeout(SAMPLE_SECONDS)


def simulate(costs: Costs, scenario: Scenario) -> Forecast:
    """Run a scenario to the end of its last order."""
    world = World(costs, scenario)
    world.env.process(world.customers())
    world.env.run(until=world.env.process(world.watch()))
    forecast = world.forecast
    ends = [placed + took for placed, took in zip(forecast.placed, forecast.latency, strict=True)]
    forecast.finished_rate = len(ends) / max(ends) if ends else 0.0
    if scenario.end:
        caught = [end for placed, end in zip(forecast.placed, ends, strict=True) if placed < scenario.end < end]
        forecast.drained = max(caught) - scenario.end if caught else 0.0
    return forecast


def _arrivals(scenario: Scenario) -> Iterator[float]:
    """Moments at which independent customers come (Poisson)."""
    chance, now = random.Random(scenario.seed), 0.0  # noqa: S311 - a load that can be repeated
    while True:
        in_spike = scenario.spike and scenario.begin <= now < scenario.end
        now += chance.expovariate(scenario.spike if in_spike else scenario.rate)
        if now >= scenario.seconds:
            return
        yield now
