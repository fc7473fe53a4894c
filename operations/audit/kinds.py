"""What can be wrong, by name, and what was found."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """A kind of violation. Unless a docstring names the moment from which it has the grace, it counts at once."""

    ORDER_CONTRADICTORY = "order_contradictory"
    """Its facts speak for two final states."""
    ORDER_MISSHOWN = "order_misshown"
    """Its status is not the one that its facts give."""
    ORDER_OVERDUE = "order_overdue"
    """It is not settled. Since its acceptance."""
    ORDER_UNWATCHED = "order_unwatched"
    """It is not settled, and nobody will say it again: no deadline, or one that passed unheeded. Since that one."""
    PAYMENT_OVERDUE = "payment_overdue"
    """It is ready and the capture was refused: no money is lost, and none has come. Since its acceptance."""
    ANOMALY = "anomaly"
    """A service met an event that cannot happen in its state."""
    WITHOUT_ORDER = "without_order"
    """Money, goods or a parcel of an order that does not exist."""

    AMOUNT_DIFFERS = "amount_differs"
    """Another amount was held or taken than the order costs."""
    LEDGERS_DIFFER = "ledgers_differ"
    """Payment and the gateway disagree: taken there and not here, for example. Since the order's last news."""
    AUTHORIZATION_LOST = "authorization_lost"
    """What was authorized is neither captured nor voided nor open."""
    CAPTURED_UNREADY = "captured_unready"
    """Money was taken for an order that is not ready."""
    NOT_CAPTURED = "not_captured"
    """The order counts as paid, and the money was not taken."""
    MONEY_HELD = "money_held"
    """The order is over without its goods, and its money is still held."""
    DUPLICATE_ACCOUNT = "duplicate_account"
    """The gateway or the carrier has the order a second time, under another spelling of its key."""

    STOCK_ON_HAND = "stock_on_hand"
    """On hand is not initial + received - shipped."""
    STOCK_OVERSOLD = "stock_oversold"
    """More is reserved than is on hand."""
    STOCK_RESERVED = "stock_reserved"
    """What is reserved is not the sum of the living reservations."""
    STOCK_SHIPPED = "stock_shipped"
    """What was shipped is not the sum of the shipped reservations."""
    STOCK_RECEIVED = "stock_received"
    """What was received is not the sum of the receipts."""
    GOODS_DIFFER = "goods_differ"
    """Other goods are reserved or shipped than were ordered."""
    GOODS_HELD = "goods_held"
    """The order is over without its goods, and they are reserved or gone."""
    GOODS_MISSING = "goods_missing"
    """The order is ready, and its goods are not reserved; or they are known as shipped, and are not."""

    PARCEL_UNWANTED = "parcel_unwanted"
    """A parcel of an order that is over; or one at the carrier that shipping does not know, since the last news."""
    PARCEL_MISSING = "parcel_missing"
    """The order is ready, and shipping or the carrier has no parcel."""
    UNDO_PENDING = "undo_pending"
    """A cancelled parcel was not cancelled at the carrier. Since the order's last news."""

    FACT_UNSAID = "fact_unsaid"
    """The order API knows a fact that its service never said."""
    FACT_MISSING = "fact_missing"
    """A service said what the order API does not know. Since the order's last news."""
    MESSAGE_UNSENT = "message_unsent"
    """An event waits in an outbox. Since it was said."""
    MESSAGE_MISSING = "message_missing"
    """An event was published, and its consumer has neither applied nor parked it. Since it was said."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something that does not agree, though it may come right by itself."""

    kind: Kind
    subject: str
    """What it is about: an order's id, a sku, a queue with a message's id."""
    detail: str
    since: datetime | None = None
    """The moment from which the grace runs; None if nothing on its way could mend it."""

    def stands(self, now: datetime, grace: timedelta) -> bool:
        """Whether nothing that is on its way excuses it any longer."""
        return self.since is None or now - self.since > grace
