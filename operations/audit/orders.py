"""Orders: each is read when it is new, and again until it is settled and nothing about it disagrees."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from operations.audit.evidence import Case
from operations.audit.rules import OPEN, discrepancies
from operations.audit.sources import PAGE, Row, Sources
from operations.audit.suspicions import Suspicions

FIRST = datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0)
LONGEST_WAIT = timedelta(minutes=5)
"""No order that is kept waits longer for its next reading."""


@dataclass(frozen=True, slots=True)
class Money:
    """Sums of one currency, in its minor units."""

    accepted: int = 0
    """Of all orders."""
    authorized: int = 0
    captured: int = 0
    voided: int = 0
    """Authorized, and let go."""
    open: int = 0
    """Authorized, and neither taken nor let go yet."""

    def __add__(self, other: "Money") -> "Money":
        return Money(
            self.accepted + other.accepted,
            self.authorized + other.authorized,
            self.captured + other.captured,
            self.voided + other.voided,
            self.open + other.open,
        )

    @property
    def unexplained(self) -> int:
        """What was authorized, and is nowhere."""
        return self.authorized - self.captured - self.voided - self.open


@dataclass(frozen=True, slots=True)
class Share:
    """What one order adds to the balance."""

    state: str
    currency: str
    money: Money

    @classmethod
    def of(cls, case: Case) -> "Share":
        """Add up one order: what was authorized as its services say, and where it is as the gateway says."""
        order, held = case.order, case.held if case.authorized else 0
        money = Money(
            accepted=order.total,
            authorized=order.total if case.authorized else 0,
            captured=held if case.ledger == "captured" else 0,
            voided=held if case.ledger == "voided" else 0,
            open=held if case.ledger in OPEN else 0,
        )
        return cls(order.state, order.currency, money)


@dataclass(slots=True)
class Books:
    """The balance of orders."""

    states: Counter[str] = field(default_factory=Counter[str])
    money: dict[str, Money] = field(default_factory=dict[str, Money])

    def post(self, share: Share) -> None:
        """Add an order."""
        self.states[share.state] += 1
        self.money[share.currency] = self.money.get(share.currency, Money()) + share.money

    def with_all(self, shares: Iterator[Share]) -> "Books":
        """Make books with these orders, too."""
        books = Books(Counter(self.states), dict(self.money))
        for share in shares:
            books.post(share)
        return books


@dataclass(frozen=True, slots=True)
class Kept:
    """An order that is to be read again."""

    share: Share
    due: datetime


class Orders:
    """Reads at most `most` new orders and `most` old ones a look.

    `grace`: the patience with what is on its way. `lag`: the age from which orders are read, so that none is committed
    behind the place where reading goes on.
    """

    def __init__(self, sources: Sources, *, grace: timedelta, lag: timedelta, most: int) -> None:
        self.suspicions = Suspicions()
        self.complete = False
        """Whether every order has been read once, but those younger than `lag`."""
        self.read = 0
        """Orders that were read for the first time, so far."""
        self._sources, self._grace, self._lag, self._most = sources, grace, lag, most
        self._closed = Books()
        self._kept: dict[UUID, Kept] = {}
        self._after: tuple[datetime, UUID] = FIRST

    @property
    def books(self) -> Books:
        """The balance of every order that was read."""
        return self._closed.with_all(kept.share for kept in self._kept.values())

    async def look(self, now: datetime) -> None:
        """Read what is due and what is new."""
        for ids in _pages([order_id for order_id, kept in self._by_due() if kept.due <= now][: self._most]):
            orders = await self._sources.these_orders(ids)
            await self._judge(orders, now)
            for gone in set(ids) - {row["order_id"] for row in orders}:
                del self._kept[gone]  # what others have of it is without an order now
                self.suspicions.judge(str(gone), [])
        for _ in range(0, self._most, PAGE):
            orders = await self._sources.newer_orders(*self._after, self._lag)
            await self._judge(orders, now)
            self.read += len(orders)
            if orders:
                self._after = orders[-1]["created_at"], orders[-1]["order_id"]
            self.complete = len(orders) < PAGE
            if self.complete:
                return

    def _by_due(self) -> list[tuple[UUID, Kept]]:
        return sorted(self._kept.items(), key=lambda kept: kept[1].due)

    async def _judge(self, orders: list[Row], now: datetime) -> None:
        for case in await self._sources.cases(orders) if orders else ():
            order_id = case.order.order_id
            found = discrepancies(case)
            standing = [each for each in found if each.stands(now, self._grace)]
            self.suspicions.judge(str(order_id), standing)
            self._kept.pop(order_id, None)
            if found:
                wait = timedelta() if standing else min((now - case.order.created_at) / 4, LONGEST_WAIT)
                self._kept[order_id] = Kept(Share.of(case), now + wait)
            else:
                self._closed.post(Share.of(case))


def _pages(ids: list[UUID]) -> Iterator[list[UUID]]:
    return (ids[start : start + PAGE] for start in range(0, len(ids), PAGE))
