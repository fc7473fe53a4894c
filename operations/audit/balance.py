"""The audit: all its parts, and the balance that they give."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from messaging.topology import EVENTS, Topology
from operations.audit.kinds import Discrepancy
from operations.audit.messages import Messages, Parked, Tally
from operations.audit.orders import Money, Orders
from operations.audit.rounds import Rounds
from operations.audit.rules import Stock
from operations.audit.settings import AuditSettings
from operations.audit.sources import Sources
from operations.audit.warehouse import WarehouseAudit

_ANY = TypeAdapter[object](object)


@dataclass(frozen=True, slots=True)
class Balance:
    """What a look has found, with all that was read before."""

    at: datetime
    orders: Mapping[str, int]
    """By status."""
    money: Mapping[str, Money]
    """By currency."""
    stock: Sequence[Stock]
    messages: Mapping[str, Tally]
    """By the queue that is to have them."""
    violations: Sequence[Discrepancy]
    """What two readings have found; sorted."""
    suspected: bool
    """Whether something else was found that the next look is to confirm."""
    complete: bool
    """Whether everything was read once."""


class Audit:
    """Looks again and again; each look reads what is new, what was open, and what was wrong."""

    def __init__(
        self,
        sources: Sources,
        settings: AuditSettings,
        topology: Topology,
        parked: Parked | None = None,
        *,
        rest: float = 0,
    ) -> None:
        """Take the queues from the topology. Without `parked`, no message is called missing.

        `rest`: seconds, at most, of a pause in long readings; without it they are hurried.
        """
        grace, lag, most = settings.patience, timedelta(seconds=settings.lag), settings.most
        self._sources = sources
        self.orders = Orders(sources, grace=grace, lag=lag, most=most)
        self._rounds = Rounds(sources, interval=timedelta(seconds=settings.round_interval), most=most)
        self._warehouse = WarehouseAudit(sources, interval=timedelta(seconds=settings.stock_interval), rest=rest)
        self._messages = Messages(
            sources,
            consumers(topology),
            parked,
            grace=grace,
            lag=lag,
            retention=timedelta(days=settings.retention_days),
            most=most,
        )

    async def look(self) -> Balance:
        """Look once. Raises DatabaseUnavailable; what was read until then is remembered."""
        now = await self._sources.now()
        parts = (self.orders, self._rounds, self._warehouse, self._messages)
        for part in parts:
            await part.look(now)
        books = self.orders.books
        return Balance(
            at=now,
            orders=dict(sorted(books.states.items())),
            money=dict(sorted(books.money.items())),
            stock=list(self._warehouse.stock.values()),
            messages=self._messages.tallies(now),
            violations=_each_once(each for part in parts for each in part.suspicions.confirmed),
            suspected=any(part.suspicions.unconfirmed for part in parts),
            complete=all(part.complete for part in parts),
        )


def _each_once(found: Iterable[Discrepancy]) -> list[Discrepancy]:
    """Sorted; what two parts of the audit have found is one violation."""
    by_key = {(each.kind, each.subject): each for each in found}
    return [by_key[key] for key in sorted(by_key)]


def consumers(topology: Topology) -> Mapping[str, Sequence[str]]:
    """The work queues that hear each event, by its name."""
    heard: dict[str, list[str]] = {}
    for binding in topology.bindings:
        if binding.exchange == EVENTS:
            heard.setdefault(binding.routing_key, []).append(binding.queue)
    return heard


def as_data(balance: Balance) -> object:
    """The balance for programs, as JSON has it."""
    data = {
        **asdict(balance),
        "money": {
            currency: {**asdict(money), "unexplained": money.unexplained} for currency, money in balance.money.items()
        },
        "stock": [{**asdict(stock), "available": stock.available} for stock in balance.stock],
    }
    return _ANY.dump_python(data, mode="json")
