"""The invariants I1 to I8, each a function from what was read to the violations in it. Nothing here asks a server."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from tests.invariants.books import Account, Books, Order, Pieces, Reservation
from tests.invariants.design import (
    CONSUMERS,
    DEAD,
    FINAL,
    OPEN,
    OVERDUE,
    SETTLED,
    STANDING,
    UNROUTED,
    WORK_QUEUES,
)
from tests.invariants.expectations import Ending, Parked, Violation
from tests.invariants.history import Answer
from tests.invariants.queues import Drops, Queue, is_tier

IN_FLIGHT, OTHER_REQUEST = 409, 422
"""How a key is refused: while a request with it is worked on, and for another request."""

Key = tuple[str, str, int]
"""A message in a queue: queue, event id, re-drive number."""


def every_order_ends(books: Books, expected: Mapping[str, Ending]) -> Iterator[Violation]:
    """I1: every accepted order reaches exactly one final state, the right one, and is settled."""
    for order_id in expected.keys() - books.orders.keys():
        yield Violation("I1", f"order {order_id} was accepted and is not stored")
    for order in books.orders.values():
        for problem in _unfinished(order, expected.get(order.order_id, Ending.ANY)):
            yield Violation("I1", f"order {order.order_id} {problem}")
    for anomaly in books.anomalies:
        yield Violation("I1", f"order {anomaly.order_id} met the impossible in {anomaly.service}: {anomaly.notes}")


def _unfinished(order: Order, ending: Ending) -> Iterator[str]:
    reached = [status for status, facts in FINAL.items() if facts & order.facts]
    told = ", ".join(sorted(order.facts)) or "nothing"
    if ending is Ending.PARKED:
        if reached:
            yield f"should wait for a parked message, and is {reached[0]}: {told}"
    elif len(reached) > 1:
        yield f"reached {' and '.join(reached)}: {told}"
    elif not reached:
        yield f"reached no final state: it is {order.state}, known is {told}"
    elif order.state != reached[0]:
        yield f"is shown as {order.state}, its facts say {reached[0]}: {told}"
    elif ending is not Ending.ANY and order.state != ending.status:
        yield f"ended {order.state}, not {ending.status}: {told}"
    elif ending is Ending.OVERDUE:
        if not order.facts >= OVERDUE or "payment.captured" in order.facts:
            yield f"should be ready with its payment overdue: {told}"
    elif not any(order.facts >= enough for enough in SETTLED):
        yield f"is {order.state} and not settled: {told}"


def money_adds_up(books: Books, expected: Mapping[str, Ending]) -> Iterator[Violation]:
    """I2: authorized = captured + voided + open; captured for ready orders only, once; nothing held that is over."""
    accounts: defaultdict[str, list[Account]] = defaultdict(list)
    for account in books.accounts:
        accounts[_order_of(account.key)].append(account)
    for order_id in accounts.keys() - books.orders.keys():
        yield Violation("I2", f"the gateway holds money of {order_id}, which is no order")
    for order in books.orders.values():
        of_order = accounts.get(order.order_id, [])
        if len(of_order) > 1:
            keys = ", ".join(sorted(account.key for account in of_order))
            yield Violation("I2", f"order {order.order_id} has {len(of_order)} accounts at the gateway: {keys}")
        account = of_order[0] if of_order else None
        for problem in _money_of(order, account, books, expected.get(order.order_id, Ending.ANY)):
            yield Violation("I2", f"order {order.order_id} {problem}")
    yield from _authorized(books, {order_id: of_order[0] for order_id, of_order in accounts.items()})


def _money_of(order: Order, account: Account | None, books: Books, ending: Ending) -> Iterator[str]:
    payment, shipment = books.payments.get(order.order_id), books.shipments.get(order.order_id)
    held = None if account is None else account.status
    ready = shipment is not None and shipment.state == "ready"
    if account and account.amount is not None and (account.amount, account.currency) != (order.total, order.currency):
        told = f"{account.amount} {account.currency}"
        yield f"costs {order.total} {order.currency}, the gateway was asked for {told}"
    if held not in STANDING[payment.state if payment else "new"]:
        yield f"is {payment.state if payment else 'unknown'} in payment, at the gateway {held}"
    if held == "captured" and not ready:
        yield f"was captured, its parcel is {shipment.state if shipment else 'unknown'}"
    if held != "captured" and ready and ending not in {Ending.OVERDUE, Ending.PARKED}:
        yield f"is ready, its money is {held}"
    if held in OPEN and ending not in {Ending.OVERDUE, Ending.PARKED}:
        yield f"is over, its money still {held}"


def _authorized(books: Books, accounts: Mapping[str, Account]) -> Iterator[Violation]:
    """What the facts say was authorized, payment said; the gateway has it captured, voided or open: order by order."""
    for order in books.orders.values():
        account, payment = accounts.get(order.order_id), books.payments.get(order.order_id)
        status = account.status if account else "unknown"
        said = payment is not None and payment.authorized and status in {"captured", "voided", *OPEN}
        amount = (account.amount or 0) if account and said else 0
        told = order.total if "payment.authorized" in order.facts else 0
        if told != amount:
            words = f"{told} {order.currency} authorized, but {amount} as payment said; at the gateway {status}"
            yield Violation("I2", f"order {order.order_id}: {words}")


def stock_adds_up(books: Books, expected: Mapping[str, Ending]) -> Iterator[Violation]:
    """I3: on hand = initial + received - shipped; available ≥ 0; nothing is reserved for an order that is over."""
    reserved = _sum(row.items for row in books.reservations.values() if row.state == "reserved")
    shipped = _sum(row.items for row in books.reservations.values() if row.state == "shipped")
    for sku in sorted({*books.stock, *reserved, *shipped, *books.receipts}):
        stock = books.stock.get(sku)
        if stock is None:
            yield Violation("I3", f"{sku} was reserved, shipped or received, and is not stocked")
            continue
        if stock.on_hand != stock.initial + stock.received - stock.shipped:
            terms = f"{stock.initial} initial + {stock.received} received - {stock.shipped} shipped"
            yield Violation("I3", f"{sku}: {stock.on_hand} on hand, but {terms}")
        if stock.on_hand < stock.reserved:
            yield Violation(
                "I3", f"{sku}: {stock.on_hand} on hand, {stock.reserved} reserved: less than none available"
            )
        for what, counted, explained in (
            ("reserved", stock.reserved, reserved.get(sku, 0)),
            ("shipped", stock.shipped, shipped.get(sku, 0)),
            ("received", stock.received, books.receipts.get(sku, 0)),
        ):
            if counted != explained:
                yield Violation("I3", f"{sku}: {counted} {what}, its orders or receipts explain {explained}")
    for order in books.orders.values():
        for problem in _goods_of(
            order, books.reservations.get(order.order_id), expected.get(order.order_id, Ending.ANY)
        ):
            yield Violation("I3", f"order {order.order_id} {problem}")


def _goods_of(order: Order, reservation: Reservation | None, ending: Ending) -> Iterator[str]:
    state = reservation.state if reservation else "new"
    if reservation and state in {"reserved", "shipped"} and reservation.items != order.items:
        yield f"ordered {order.items}, and {reservation.items} is {state}"
    if order.state in {"rejected", "cancelled"} and state in {"reserved", "shipped"}:
        yield f"is {order.state}, its goods are {state}"
    if order.state == "ready" and state != "shipped" and ending is not Ending.PARKED:
        yield f"is ready, its goods are {state}"


def one_effect_each(books: Books) -> Iterator[Violation]:
    """I4: one effect per (consumer, event id), one fact per (order, type), one parcel per ready order."""
    for message in books.applied:
        if message.copies > 1:
            yield Violation("I4", f"{message.queue} applied event {message.event_id} {message.copies} times")
    yield from _sayings(books)
    yield from _parcels(books)


def _sayings(books: Books) -> Iterator[Violation]:
    """I4: an event about an order is said under one id and in one way, and told once."""
    ids: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    bodies: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for said in books.said:
        if said.order_id:
            ids[said.order_id, said.name].add(said.event_id)
            bodies[said.order_id, said.name].add(said.body)
    for (order_id, name), found in ids.items():
        if len(found) > 1:
            yield Violation("I4", f"order {order_id}: {name} was said under {len(found)} ids")
        elif len(bodies[order_id, name]) > 1:
            yield Violation("I4", f"order {order_id}: {name} was said in {len(bodies[order_id, name])} ways")
    told: Counter[tuple[str, str]] = Counter()
    for fact in books.facts:
        told[fact.order_id, fact.name] += fact.copies
        if fact.event_id not in ids[fact.order_id, fact.name]:
            yield Violation("I4", f"order {fact.order_id} has a fact {fact.name} that nobody said")
    for (order_id, name), copies in told.items():
        if copies > 1:
            yield Violation("I4", f"order {order_id} has {copies} facts {name}")


def _parcels(books: Books) -> Iterator[Violation]:
    """I4: one booking at the carrier for each parcel that is ready, and for no other."""
    booked = Counter(_order_of(booking.key) for booking in books.bookings if booking.status == "booked")
    for order_id, copies in booked.items():
        shipment = books.shipments.get(order_id)
        if copies > 1:
            yield Violation("I4", f"order {order_id} has {copies} parcels at the carrier")
        if not shipment or shipment.state != "ready":
            state = shipment.state if shipment else "unknown"
            yield Violation("I4", f"order {order_id} has a parcel at the carrier, in shipping it is {state}")
    for shipment in books.shipments.values():
        if shipment.state == "ready" and not booked[shipment.order_id]:
            yield Violation("I4", f"order {shipment.order_id} is ready in shipping, the carrier has no parcel")
        if shipment.undo:
            yield Violation("I4", f"order {shipment.order_id} was cancelled, its parcel is not undone yet")


def nothing_is_lost(books: Books, queues: Mapping[str, Queue]) -> Iterator[Violation]:
    """I5: the outbox is empty, and published = applied, queued or parked."""
    wanted: dict[Key, str] = {}
    for said in books.said:
        about = f"{said.name} of order {said.order_id}" if said.order_id else f"{said.name} {said.event_id}"
        if not said.sent:
            yield Violation("I5", f"{about} waits in the outbox of {said.service}")
        for consumer in CONSUMERS.get(said.name, ()):
            wanted[f"{consumer}.{said.name}", said.event_id, said.redrive] = about
    applied = {(message.queue, message.event_id, message.redrive) for message in books.applied}
    for queue, event_id, _ in sorted(applied - wanted.keys()):
        yield Violation("I5", f"{queue} applied event {event_id}, which nobody published")
    parked = {
        (name.removesuffix(DEAD), letter.message_id, letter.redrive)
        for name, queue in queues.items()
        for letter in queue.dead_letters
    }
    lost: defaultdict[str, list[str]] = defaultdict(list)
    for key in sorted(wanted.keys() - applied - parked):
        lost[key[0]].append(wanted[key])
    retrying = sum(queue.ready for name, queue in queues.items() if is_tier(name))
    for name, messages in lost.items():
        waiting = queues[name].ready if name in queues else 0
        if len(messages) > waiting + retrying:
            for about in messages:
                yield Violation("I5", f"{about} never reached {name}")


def queues_are_well(queues: Mapping[str, Queue], parked: Collection[Parked]) -> Iterator[Violation]:
    """I6: every work queue is consumed and empty, nothing is invisible, and only what should be parked is."""
    for name in WORK_QUEUES:
        for needed in (name, f"{name}{DEAD}"):
            if needed not in queues:
                yield Violation("I6", f"queue {needed} is missing")
        if name in queues and not queues[name].consumers:
            yield Violation("I6", f"nobody consumes {name}")
    for queue in queues.values():
        if queue.invisible:
            yield Violation("I6", f"{queue.invisible} messages of {queue.name} are neither ready nor unacknowledged")
        if queue.ready and not queue.name.endswith(DEAD):
            what = "nobody was bound to" if queue.name == UNROUTED else "wait"
            yield Violation("I6", f"{queue.ready} messages that {what} are in {queue.name}")
    found = Counter(
        Parked(name.removesuffix(DEAD), letter.order_id, letter.error)
        for name, queue in queues.items()
        for letter in queue.dead_letters
    )
    wanted = Counter(parked)
    for letter in sorted((found - wanted).elements()):
        yield Violation("I6", f"order {letter.order_id}: a message is parked from {letter.queue} for {letter.error}")
    for letter in sorted((wanted - found).elements()):
        yield Violation("I6", f"order {letter.order_id}: none is parked from {letter.queue} for {letter.error}")


def one_order_a_key(books: Books, history: Sequence[Answer]) -> Iterator[Violation]:
    """I7: the same key and body get the same order, stored once; another body under the key is refused."""
    by_key: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in history:
        if answer.key is not None:
            by_key[answer.key].append(answer)
    stored = Counter(order.customer for order in books.orders.values())
    for key, answers in by_key.items():
        if stored[key] > 1:
            yield Violation("I7", f"{stored[key]} orders are stored for key {key}")
        for problem in _answers_of(answers):
            yield Violation("I7", f"key {key} {problem}")


def _answers_of(answers: Sequence[Answer]) -> Iterator[str]:
    accepted = [answer for answer in answers if answer.accepted]
    if not accepted:
        return
    if len(orders := {str(answer.order_id) for answer in accepted}) > 1:
        yield f"was answered with {len(orders)} orders: {', '.join(sorted(orders))}"
    if len({answer.digest for answer in accepted}) > 1:
        yield "was accepted with different bodies"
    first = min(accepted, key=lambda answer: answer.answered)
    for later in answers:
        if later.sent < first.answered or later.accepted or later.indeterminate:
            continue
        if later.status == IN_FLIGHT and any(_beside(later, other) for other in answers):
            continue
        if later.digest == first.digest:
            yield f"was accepted, its repetition was answered {later.status}"
        elif later.status != OTHER_REQUEST:
            yield f"was accepted, another body was answered {later.status}"


def _beside(one: Answer, other: Answer) -> bool:
    """Whether two requests were under way at the same time, as far as a client can tell."""
    return one is not other and other.sent <= one.ended and one.sent <= other.ended


def nothing_is_dropped(drops: Drops) -> Iterator[Violation]:
    """I8: the broker dropped nothing, neither for want of a binding nor as going round in a circle."""
    if drops.unroutable:
        yield Violation("I8", f"{drops.unroutable} messages were dropped as unroutable")
    for cycle in drops.cycles:
        yield Violation("I8", f"messages that went round were dropped: {cycle}")


def _order_of(key: str) -> str:
    """The order that a remote end's key stands for, however it is written."""
    try:
        return str(UUID(key))
    except ValueError:
        return key


def _sum(parts: Iterable[Pieces]) -> Pieces:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)
