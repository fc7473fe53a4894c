"""The rules, as pure functions from what was read to what does not agree."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from contracts import (
    InventoryShipped,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PaymentVoided,
    ShippingReady,
)
from operations.audit.evidence import Case, Ids, Pieces
from operations.audit.kinds import Discrepancy, Kind

FINAL = {
    "ready": {ShippingReady.name, PaymentCaptured.name},
    "rejected": {PaymentDeclined.name},
    "cancelled": {PaymentVoided.name},
}
"""The facts, any of which puts an order into a final state."""
OPEN = {"held", "expired", "unpaid", "authorized"}
"""Words of the gateway and of payment for money that is neither taken nor let go."""
_AGREE = {
    "new": {None, "unknown"},
    "authorized": {"held", "expired"},
    "declined": {"declined"},
    "voided": {"voided", "declined"},
    "captured": {"captured"},
    "unpaid": {"unpaid"},
}
"""What the gateway may hold, by the state of payment's row."""


def settled(facts: AbstractSet[str]) -> bool:
    """Whether money and goods are where they belong for good."""
    return (
        PaymentDeclined.name in facts
        or PaymentVoided.name in facts
        or facts >= {PaymentCaptured.name, InventoryShipped.name}
    )


def discrepancies(case: Case) -> list[Discrepancy]:
    """Everything about one order that does not agree. None is left once it is settled and all is well."""
    return [*_ending(case), *_anomalies(case), *_money(case), *_goods(case), *_parcel(case), *_sayings(case)]


def _ending(case: Case) -> Iterator[Discrepancy]:
    """Exactly one final state, and settled by its deadline."""
    order, subject, facts = case.order, str(case.order.order_id), case.order.facts.keys()
    told = ", ".join(sorted(facts)) or "nothing"
    reached = [status for status, names in FINAL.items() if names & facts]
    if len(reached) > 1:
        yield Discrepancy(Kind.ORDER_CONTRADICTORY, subject, f"{' and '.join(reached)}: {told}")
    elif reached != [order.state] and (reached or order.state in FINAL):
        should = reached[0] if reached else "not final"
        yield Discrepancy(Kind.ORDER_MISSHOWN, subject, f"shown as {order.state}, should be {should}: {told}")
    if settled(facts):
        return
    refused = PaymentCaptureFailed.name in facts and PaymentCaptured.name not in facts
    if refused:
        owed = f"{order.total} {order.currency} in minor units"
        yield Discrepancy(Kind.PAYMENT_OVERDUE, subject, f"the capture of {owed} was refused", order.created_at)
    if not (refused and InventoryShipped.name in facts):
        yield Discrepancy(Kind.ORDER_OVERDUE, subject, f"{order.state}, not settled: {told}", order.created_at)
    deadline = order.next_deadline
    when = "has no deadline" if deadline is None else f"deadline {deadline:%Y-%m-%d %H:%M:%S} passed unheeded"
    yield Discrepancy(Kind.ORDER_UNWATCHED, subject, f"{order.state}, not settled, {when}", deadline)


def _anomalies(case: Case) -> Iterator[Discrepancy]:
    rows = {
        "order_api": case.order,
        "payment": case.payment,
        "inventory": case.reservation,
        "shipping": case.shipment,
    }
    for service, row in rows.items():
        if row is not None and row.anomalous:
            yield Discrepancy(Kind.ANOMALY, str(case.order.order_id), f"{service} met an event that cannot happen")


def _money(case: Case) -> Iterator[Discrepancy]:
    """Authorized = captured + voided + open; captured for ready orders only; nothing held of an order that is over."""
    order, subject = case.order, str(case.order.order_id)
    row, held = case.payment.state if case.payment else "new", case.account.status if case.account else None
    ready = case.shipment is not None and case.shipment.state == "ready"
    for who, ledger in (("payment", case.payment), ("the gateway", case.account)):
        if ledger and ledger.amount is not None and (ledger.amount, ledger.currency) != (order.total, order.currency):
            costs, other = f"{order.total} {order.currency}", f"{ledger.amount} {ledger.currency}"
            yield Discrepancy(Kind.AMOUNT_DIFFERS, subject, f"costs {costs}, {who} has {other}")
    if case.gateway_read and held not in _AGREE.get(row, set()):
        detail = f"{row} in payment, {held or 'unknown'} at the gateway"
        yield Discrepancy(Kind.LEDGERS_DIFFER, subject, detail, order.updated_at)
    if case.authorized and (row in {"new", "declined"} or case.ledger not in {"captured", "voided", *OPEN}):
        detail = f"was authorized, is {row} in payment, {case.ledger or 'unknown'} where its money is"
        yield Discrepancy(Kind.AUTHORIZATION_LOST, subject, detail)
    if "captured" in {row, held} and not ready:
        parcel = case.shipment.state if case.shipment else "unknown"
        yield Discrepancy(Kind.CAPTURED_UNREADY, subject, f"captured, its parcel is {parcel}")
    if PaymentCaptured.name in order.facts and {row, case.ledger} != {"captured"}:
        detail = f"counts as paid, is {row} in payment, {case.ledger or 'unknown'} where its money is"
        yield Discrepancy(Kind.NOT_CAPTURED, subject, detail)
    if case.over and ({row, held} & OPEN):
        detail = f"{order.state}, its money is {row} in payment, {held or 'unknown'} at the gateway"
        yield Discrepancy(Kind.MONEY_HELD, subject, detail)


def _goods(case: Case) -> Iterator[Discrepancy]:
    """Reserved or shipped is what was ordered, for living orders only."""
    order, subject = case.order, str(case.order.order_id)
    state = case.reservation.state if case.reservation else "new"
    taken = state in {"reserved", "shipped"}
    if case.reservation and taken and case.reservation.pieces != order.pieces:
        ordered, other = _listed(order.pieces), _listed(case.reservation.pieces)
        yield Discrepancy(Kind.GOODS_DIFFER, subject, f"ordered {ordered}, {state}: {other}")
    if case.over and taken:
        yield Discrepancy(Kind.GOODS_HELD, subject, f"{order.state}, its goods are {state}")
    is_gone = InventoryShipped.name in order.facts
    if (is_gone and state != "shipped") or (ShippingReady.name in order.facts and not taken):
        yield Discrepancy(Kind.GOODS_MISSING, subject, f"{order.state}, its goods are {state}")


def _parcel(case: Case) -> Iterator[Discrepancy]:
    """One parcel for each order that is ready, and for no other."""
    order, subject = case.order, str(case.order.order_id)
    state = case.shipment.state if case.shipment else "new"
    booked = case.booking == "booked"
    if state == "ready" and case.over:
        yield Discrepancy(Kind.PARCEL_UNWANTED, subject, f"{order.state}, its parcel is ready")
    if booked and state != "ready":
        detail = f"booked at the carrier, {state} in shipping"
        yield Discrepancy(Kind.PARCEL_UNWANTED, subject, detail, order.updated_at)
    if ShippingReady.name in order.facts and state != "ready":
        yield Discrepancy(Kind.PARCEL_MISSING, subject, f"{order.state}, its parcel is {state} in shipping")
    if state == "ready" and case.carrier_read and not booked:
        detail = f"its parcel is ready in shipping, {case.booking or 'unknown'} at the carrier"
        yield Discrepancy(Kind.PARCEL_MISSING, subject, detail)
    if case.shipment and case.shipment.undo:
        yield Discrepancy(Kind.UNDO_PENDING, subject, "cancelled, not yet at the carrier", order.updated_at)


def _sayings(case: Case) -> Iterator[Discrepancy]:
    """What the order API knows is what the services said, event for event."""
    order, subject = case.order, str(case.order.order_id)
    rows = (order, case.payment, case.reservation, case.shipment)
    said: Ids = {name: key for row in rows if row is not None for name, key in row.said.items()}
    unsaid = sorted(name for name, key in order.facts.items() if said.get(name) != key)
    missing = sorted(said.keys() - order.facts.keys())
    if unsaid:
        yield Discrepancy(Kind.FACT_UNSAID, subject, f"nobody said {', '.join(unsaid)}")
    if missing:
        yield Discrepancy(
            Kind.FACT_MISSING, subject, f"the order API never heard {', '.join(missing)}", order.updated_at
        )


@dataclass(frozen=True, slots=True)
class Stock:
    """The counters of one sku, and what explains them."""

    sku: str
    on_hand: int = 0
    reserved: int = 0
    initial: int = 0
    received: int = 0
    shipped: int = 0

    @property
    def available(self) -> int:
        """Pieces that can still be reserved."""
        return self.on_hand - self.reserved


@dataclass(frozen=True, slots=True)
class Warehouse:
    """All of inventory at one moment: its counters, and the sums of the rows that explain them."""

    stock: Mapping[str, Stock]
    living: Pieces
    shipped: Pieces
    receipts: Pieces


def stock_discrepancies(warehouse: Warehouse) -> Iterator[Discrepancy]:
    """On hand = initial + received - shipped; available >= 0; reserved, shipped and received are explained."""
    for sku in sorted({*warehouse.stock, *warehouse.living, *warehouse.shipped, *warehouse.receipts}):
        stock = warehouse.stock.get(sku, Stock(sku))
        if stock.on_hand != stock.initial + stock.received - stock.shipped:
            terms = f"{stock.initial} initial + {stock.received} received - {stock.shipped} shipped"
            yield Discrepancy(Kind.STOCK_ON_HAND, sku, f"{stock.on_hand} on hand, but {terms}")
        if stock.available < 0:
            yield Discrepancy(Kind.STOCK_OVERSOLD, sku, f"{stock.on_hand} on hand, {stock.reserved} reserved")
        for kind, counted, explained in (
            (Kind.STOCK_RESERVED, stock.reserved, warehouse.living.get(sku, 0)),
            (Kind.STOCK_SHIPPED, stock.shipped, warehouse.shipped.get(sku, 0)),
            (Kind.STOCK_RECEIVED, stock.received, warehouse.receipts.get(sku, 0)),
        ):
            if counted != explained:
                yield Discrepancy(kind, sku, f"{counted} counted, its rows explain {explained}")


def _listed(pieces: Pieces) -> str:
    return ", ".join(f"{count} {sku}" for sku, count in sorted(pieces.items())) or "nothing"
