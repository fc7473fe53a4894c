"""Re-drive: messages are lost with the whole broker, or merely late, and order_api says the first ones again.

A copy carries the number of its wave, and so does what follows from it. order_api hears facts as messages too.
"""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import NamedTuple

from contracts import OrderCancelRequested, OrderCreated
from order_api.domain import settled
from tests.model import checks, remote
from tests.model.bits import Index
from tests.model.explore import Report, Steps, explore
from tests.model.remote import Account, Environment
from tests.model.system import EVENTS, FACTS, Delivery, OrderEventType, Shop, System

ORDER_API = "order_api"


class Copy(NamedTuple):
    """A message in a queue, sent by the wave of this number; 0 is the original."""

    delivery: Delivery
    wave: int

    def __str__(self) -> str:
        """Name the queue, and the wave."""
        return f"{self.delivery}/{self.wave}"


class Sea(NamedTuple):
    """One order while messages travel: what lasts, and sets (as ints) of facts and copies."""

    shop: Shop
    facts: int
    """What order_api has heard."""
    queued: int
    seen: int
    """What the inboxes hold."""
    cancelled: bool
    wave: int


class Effect(NamedTuple):
    """What handling a copy does, worked out once."""

    called: Shop
    """After the remote call, before the commit."""
    shop: Shop
    sends: int


@dataclass(frozen=True)
class Waves:
    """How re-drive works. `wipes` of the broker happen at any time; after each, a wave is sent at once if wanted.

    `late`: a wave may also be sent while everything is still queued. `crashes`: a process may die between a remote call
    and its commit. `expiry`: the hold may expire. `numbered`: the inbox tells waves apart.
    """

    environment: Environment
    wipes: int
    system: System = field(default_factory=System)
    late: bool = False
    expiry: bool = False
    crashes: bool = False
    numbered: bool = True
    is_over: Callable[[AbstractSet[str]], bool] = settled

    def explore(self) -> Report[Sea]:
        """Visit every state that one order can get into."""
        first = self._copies.mask(Copy(delivery, 0) for delivery in self._consumers(OrderCreated))
        start = Sea(Shop(), facts=0, queued=first, seen=0, cancelled=False, wave=0)
        return explore(start, self.successors, self.rests, self.check)

    def rests(self, sea: Sea) -> bool:
        """Whether no message and no local work is left."""
        return not sea.queued and not sea.shop.undo

    def check(self, sea: Sea) -> Iterator[str]:
        """Name what is wrong in this state."""
        if self.rests(sea):
            facts = self._names(sea.facts)
            yield from checks.always(sea.shop, facts)
            yield from checks.at_rest(sea.shop, facts, self.system.status)
            yield from checks.complete(sea.shop, facts, self.system.status)

    def successors(self, sea: Sea) -> Steps[Sea]:
        """Every single thing that can happen next."""
        facts = self._names(sea.facts)
        if not sea.cancelled and not self.system.status(facts).final:
            asked = self._first_copies(OrderCancelRequested, sea.wave)
            yield "a cancellation is asked for", sea._replace(queued=sea.queued | asked, cancelled=True)
        if sea.wave < self.wipes:
            yield from self._redrive(sea, over=self.is_over(facts))
        if self.expiry and sea.shop.account is Account.HELD:
            yield "the hold expires", sea._replace(shop=sea.shop._replace(account=Account.EXPIRED))
        if sea.shop.undo:
            yield "undo", sea._replace(shop=sea.shop._replace(undo=False, parcel=remote.cancel(sea.shop.parcel)))
        for copy, bit in self._copies.members(sea.queued):
            yield from self._deliver(sea, copy, bit)

    def _redrive(self, sea: Sea, *, over: bool) -> Steps[Sea]:
        wave = sea.wave + 1
        again = 0
        if not over:
            again |= self._first_copies(OrderCreated, wave)
            if sea.cancelled:
                again |= self._first_copies(OrderCancelRequested, wave)
        yield f"WIPE, wave {wave if again else 'not needed'}", sea._replace(queued=again, wave=wave)
        if self.late and again:
            yield f"late, wave {wave}", sea._replace(queued=sea.queued | again, wave=wave)

    def _deliver(self, sea: Sea, copy: Copy, bit: int) -> Steps[Sea]:
        shop, facts, queued, seen, cancelled, wave = sea
        queued &= ~bit
        if copy.delivery.service == ORDER_API:
            yield copy, Sea(shop, facts | self._facts.bit(copy.delivery.event), queued, seen, cancelled, wave)
            return
        key = bit if self.numbered else self._copies.bit(Copy(copy.delivery, 0))
        if seen & key:
            yield copy, Sea(shop, facts, queued, seen, cancelled, wave)
            return
        effect = self._effect(shop, copy)
        yield copy, Sea(effect.shop, facts, queued | effect.sends, seen | key, cancelled, wave)
        if self.crashes and effect.called != shop:
            yield f"{copy}: crash after the call", sea._replace(shop=effect.called)

    @cached_property
    def _effect(self) -> Callable[[Shop, Copy], Effect]:
        @cache
        def effect(shop: Shop, copy: Copy) -> Effect:
            called, evidence = self.system.call(shop, copy.delivery, self.environment)
            outcome = self.system.handle(called, copy.delivery, evidence, self.environment)
            sends = 0
            for event in outcome.says:
                sends |= self._first_copies(event, copy.wave)
            return Effect(called, outcome.shop, sends)

        return effect

    def _first_copies(self, event: OrderEventType, wave: int) -> int:
        return self._copies.mask(Copy(delivery, wave) for delivery in self._consumers(event))

    def _consumers(self, event: OrderEventType) -> tuple[Delivery, ...]:
        heard = (Delivery(ORDER_API, event),) if event in FACTS else ()
        return (*self.system.deliveries((event,)), *heard)

    @cached_property
    def _copies(self) -> Index[Copy]:
        return Index(
            Copy(delivery, wave)
            for wave in range(self.wipes + 1)
            for event in EVENTS
            for delivery in self._consumers(event)
        )

    @cached_property
    def _facts(self) -> Index[OrderEventType]:
        return Index(FACTS)

    @cached_property
    def _names(self) -> Callable[[int], frozenset[str]]:
        @cache
        def names(facts: int) -> frozenset[str]:
            return frozenset(event.name for event, _ in self._facts.members(facts))

        return names
