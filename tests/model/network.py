"""Every order of delivery: each event said may reach each consumer at any time, and again; any process may crash."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts import InventoryReleased, OrderCancelRequested, OrderCreated, ShippingCancelRefused
from inventory.domain import State as Reservation
from tests.model import checks, remote
from tests.model.explore import Report, Steps, explore
from tests.model.remote import Account, Environment
from tests.model.system import ASKED, Delivery, OrderEventType, Outcome, Shop, System


class Flight(NamedTuple):
    """A delivery between its remote call and its commit. Several workers may hold the same one."""

    delivery: Delivery
    evidence: str | None


class World(NamedTuple):
    """One order everywhere: what lasts, what was said, what was handled, what is being handled."""

    shop: Shop
    said: frozenset[OrderEventType]
    handled: frozenset[Delivery] = frozenset()
    flights: frozenset[Flight] = frozenset()
    undoing: bool = False
    """Shipping's worker has told the carrier, and has not yet cleared its note."""
    complaints: frozenset[str] = frozenset()

    @property
    def facts(self) -> frozenset[str]:
        """The facts that order_api hears, sooner or later."""
        return frozenset(event.name for event in self.said - ASKED)


@dataclass(frozen=True)
class Network:
    """How messages travel. `inbox`: a delivery takes effect once; without one, everything may be replayed at any time.

    `parked` deliveries end in a dead-letter queue: their remote calls may have been made, and they never commit.
    """

    environment: Environment
    inbox: bool
    system: System = field(default_factory=System)
    parked: frozenset[Delivery] = frozenset()
    cancelled_at_once: bool = False

    def explore(self) -> Report[World]:
        """Visit every world that one order can get into."""
        said: set[OrderEventType] = {OrderCreated}
        if self.cancelled_at_once:
            said.add(OrderCancelRequested)
        return explore(World(Shop(), frozenset(said)), self.successors, self.rests, self.check)

    def rests(self, world: World) -> bool:
        """Whether all that was said has been handled, and nothing is under way."""
        if world.flights or world.undoing or world.shop.undo:
            return False
        return world.handled.issuperset(self._travelling(world))

    def check(self, world: World) -> Iterator[str]:
        """Name what is wrong in this world."""
        yield from world.complaints
        yield from checks.always(world.shop, world.facts)
        if self.rests(world):
            yield from checks.at_rest(world.shop, world.facts, self.system.status)
            if not self.parked:
                yield from checks.complete(world.shop, world.facts, self.system.status)

    def successors(self, world: World) -> Steps[World]:
        """Every single thing that can happen next."""
        yield from self._outside(world)
        yield from self._undo(world)
        for delivery in self._travelling(world):
            yield from self._deliver(world, delivery)
        for delivery in self.parked.intersection(self.system.deliveries(world.said)):
            shop, evidence = self.system.call(world.shop, delivery, self.environment)
            yield f"{delivery}: {evidence}, crash, parked", world._replace(shop=shop)
        for flight in world.flights:
            yield from self._land(world, flight)

    def _travelling(self, world: World) -> list[Delivery]:
        return [delivery for delivery in self.system.deliveries(world.said) if delivery not in self.parked]

    def _outside(self, world: World) -> Steps[World]:
        if OrderCancelRequested not in world.said:
            yield "a cancellation is asked for", world._replace(said=world.said | {OrderCancelRequested})
        if world.shop.account is Account.HELD:
            yield "the hold expires", world._replace(shop=world.shop._replace(account=Account.EXPIRED))
        if self.system.reservations_expire and world.shop.inventory == Reservation.RESERVED:
            shop = world.shop._replace(inventory=Reservation.RELEASED, reserved=world.shop.reserved - 1)
            yield "the reservation expires", world._replace(shop=shop, said=world.said | {InventoryReleased})

    def _undo(self, world: World) -> Steps[World]:
        if world.shop.undo:
            told = world.shop._replace(parcel=remote.cancel(world.shop.parcel))
            yield "undo: the carrier is told", world._replace(shop=told, undoing=True)
        if world.undoing:
            yield "undo: crash", world._replace(undoing=False)
            yield "undo: done", world._replace(shop=world.shop._replace(undo=False), undoing=False)

    def _deliver(self, world: World, delivery: Delivery) -> Steps[World]:
        call = self.system.call_of(delivery)
        duplicate = self.inbox and delivery in world.handled
        if call is not None:  # a duplicate's remote call is made too: it precedes the inbox
            shop, evidence = self.system.call(world.shop, delivery, self.environment)
            flight = Flight(delivery, evidence)
            yield f"{delivery}: {call} = {evidence}", world._replace(shop=shop, flights=world.flights | {flight})
        elif duplicate:
            return
        elif self.system.two_transactions(delivery):
            flight = Flight(delivery, world.shop.inventory)
            yield f"{delivery}: reads {flight.evidence}", world._replace(flights=world.flights | {flight})
        else:
            yield f"{delivery}: commit", self._commit(world, Flight(delivery, None))

    def _land(self, world: World, flight: Flight) -> Steps[World]:
        delivery = flight.delivery
        grounded = world._replace(flights=world.flights - {flight})
        if self.inbox:
            yield f"{delivery}: crash", grounded
        else:  # unacknowledged, so it is still to be handled
            yield f"{delivery}: crash", grounded._replace(handled=world.handled - {delivery})
        if not (self.inbox and delivery in world.handled):
            yield f"{delivery}: commit ({flight.evidence})", self._commit(grounded, flight)

    def _commit(self, world: World, flight: Flight) -> World:
        delivery, evidence = flight
        if self.system.two_transactions(delivery) and evidence is not None:
            outcome = self.system.write_apart(world.shop, delivery, evidence, self.environment)
        else:
            outcome = self.system.handle(world.shop, delivery, evidence, self.environment)
        return world._replace(
            shop=outcome.shop,
            said=world.said.union(outcome.says),
            handled=world.handled | {delivery},
            complaints=world.complaints.union(outcome.complaints, _misspoken(world, delivery, outcome)),
        )


def _misspoken(world: World, delivery: Delivery, outcome: Outcome) -> Iterator[str]:
    """A row that stays only repeats, but for a refusal, which changes no row; one that moves on says something new."""
    for event in outcome.says:
        if outcome.stays and event not in world.said and event is not ShippingCancelRefused:
            yield f"{delivery} says {event.name} for the first time without a change of state"
        if not outcome.stays and event in world.said:
            yield f"{delivery} changes the state and says {event.name} again"
