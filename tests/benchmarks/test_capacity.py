"""The simulation behind `./run capacity`."""

from dataclasses import replace
from pathlib import Path
from statistics import mean

from benchmarks.capacity.costs import FILE, Cost, Costs
from benchmarks.capacity.fit import Measured, fit
from benchmarks.capacity.model import BROKER, REQUEST, SERVICES, WORK, Order, Scenario, World, simulate
from benchmarks.figures import percentile
from benchmarks.loops import DRIVER, Loop
from tests.benchmarks.made_up import loop

FREE = Costs({}, dict.fromkeys(SERVICES, Cost(0, 1)), Cost(0, 0), Cost(0, 0), customer=0, wait=1)
"""A millisecond a message, and nothing else but a wait."""
MANY = 64
"""Processors, enough for nobody to wait for one."""


def test_every_order_is_finished() -> None:
    """Whatever the rate, as many come out as went in; twenty seconds at 50/s are about a thousand."""
    forecast = simulate(FREE, Scenario(50, 20))
    assert 900 < len(forecast.latency) < 1100
    assert min(forecast.latency) > 0


def test_utilization_follows_from_rate_and_cost() -> None:
    """A service is busy for the rate, times its messages of an order, times what one takes."""
    forecast = simulate(FREE, Scenario(40, 60, processors=MANY))
    for name in SERVICES:
        assert abs(forecast.busy[name] - 40 * WORK[name] / 1000) < 0.1 * forecast.busy[name]
    assert forecast.bottleneck == "order_api"


def test_a_lone_order_takes_its_hops() -> None:
    """Alone on the machine it takes each service's work and wait, one after the other, and what gathers in between."""
    alone = simulate(FREE, Scenario(1, 100, processors=MANY))
    hops = 5 * 2 + 2 + 1  # five groups of a message and a wait, a request that counts as two, a wait
    assert hops / 1000 <= percentile(alone.latency, 0.5) < 3 * hops / 1000


def test_requests_wait_for_no_others() -> None:
    """One that comes during a group is the next one; a delivery gathers as long as the last group took."""
    for event, took in ((REQUEST, 4), ("payment.captured", 3)):
        world = World(FREE, Scenario(1, 1, processors=MANY))
        api = world.services["order_api"]
        api.put([(Order(0), event)])
        world.env.run(until=0.0005)
        api.put([(Order(0), event)])
        ends = took / 1000  # a request takes 2 ms; a delivery 1 ms, as long as it gathers
        world.env.run(until=ends - 0.0001)
        assert world.forecast.groups["order_api"] == 1
        world.env.run(until=ends + 0.0001)
        assert world.forecast.groups["order_api"] == 2


def test_more_than_it_bears_piles_up_before_the_busiest() -> None:
    """Above 1,000/7 orders a second the order API's queue grows, and nobody else's; a second process helps."""
    one = simulate(FREE, Scenario(250, 20, processors=MANY))
    assert max(one.depth["order_api"]) > 500 > max(one.depth["shipping"])
    two = simulate(FREE, Scenario(250, 20, processors=MANY, replicas={"order_api": 2}))
    assert max(two.depth["order_api"]) < max(one.depth["order_api"]) / 2


def test_an_outage_leaves_a_backlog_that_is_worked_off() -> None:
    """What waits for RabbitMQ, or for a service, when it is back takes longer the higher the rate is."""
    for who in (BROKER, "payment"):
        slow, fast = (
            simulate(FREE, Scenario(rate, 60, outage=who, begin=5, end=25, processors=MANY)) for rate in (20, 100)
        )
        assert slow.drained is not None
        assert fast.drained is not None
        assert 0 < slow.drained < fast.drained
        assert mean(slow.latency) > 1


def test_costs_are_found_again() -> None:
    """Costs read from what a simulation with known costs took are about those costs."""
    known = Costs({}, dict.fromkeys(SERVICES, Cost(1, 0.2)), Cost(0.2, 0.05), Cost(0.4, 0.05), customer=0.1, wait=3)
    alone, together = (_measured(known, scenario) for scenario in (Scenario(5, 30), Scenario(400, 8)))
    found = fit(Measured({}, alone, together))
    for name in SERVICES:
        for messages in (1, 10, 100):
            assert abs(found.services[name].of(messages) / known.services[name].of(messages) - 1) < 0.2
    assert abs(found.wait - known.wait) < 1


def _measured(costs: Costs, scenario: Scenario) -> Loop:
    """A loop that took what the simulation took."""
    forecast = simulate(costs, scenario)
    orders = len(forecast.latency)
    groups = sum(forecast.groups.values()) / orders
    servers = {
        name: cost.group * groups + cost.message * sum(WORK.values())
        for name, cost in (("RabbitMQ", costs.rabbitmq), ("PostgreSQL", costs.postgresql))
    }
    services = {name: 1000 * scenario.seconds * forecast.busy[name] / orders for name in SERVICES}
    return replace(
        loop(p99=2000 * percentile(forecast.latency, 0.5)),
        accepted_rate=scenario.rate,
        processor={**services, **servers, DRIVER: costs.customer},
    )


def test_the_kept_costs_can_be_read(tmp_path: Path) -> None:
    """They are of this code's services, and what is saved is what is read."""
    kept = Costs.load(FILE)
    assert set(kept.services) == set(SERVICES)
    kept.save(tmp_path / "costs.json")
    assert Costs.load(tmp_path / "costs.json") == kept
