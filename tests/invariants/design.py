"""What the design says, written down a second time on purpose: the checker must not believe the code that it checks."""

SERVICES = ("order_api", "payment", "inventory", "shipping")
CONTROL_ROOM = "operations"
"""Where it runs, it takes dead letters and unrouted events out of their queues."""

CONSUMERS: dict[str, tuple[str, ...]] = {
    "order.created": ("payment",),
    "order.cancel_requested": ("shipping",),
    "payment.authorized": ("inventory", "order_api"),
    "payment.declined": ("order_api",),
    "payment.captured": ("order_api",),
    "payment.capture_failed": ("order_api",),
    "payment.voided": ("order_api",),
    "inventory.reserved": ("shipping", "order_api"),
    "inventory.rejected": ("payment", "order_api"),
    "inventory.released": ("payment", "order_api"),
    "inventory.shipped": ("order_api",),
    "shipping.ready": ("payment", "inventory", "order_api"),
    "shipping.failed": ("inventory", "order_api"),
    "shipping.cancelled": ("inventory", "order_api"),
    "shipping.cancel_refused": ("order_api",),
    "stock.received": ("inventory",),
    "stock.recorded": ("order_api",),
    "replay.handled": ("operations",),
}
"""Who hears each event."""

WORK_QUEUES = tuple(sorted(f"{service}.{event}" for event, heard in CONSUMERS.items() for service in heard))

FINAL = {
    "ready": frozenset({"shipping.ready", "payment.captured"}),
    "rejected": frozenset({"payment.declined"}),
    "cancelled": frozenset({"payment.voided"}),
}
"""The facts, any of which puts an order into a final state."""

SETTLED = (
    frozenset({"payment.declined"}),
    frozenset({"payment.voided"}),
    frozenset({"payment.captured", "inventory.shipped"}),
)
"""The sets of facts, each of which leaves nothing to do."""
OVERDUE = frozenset({"payment.capture_failed", "inventory.shipped"})
"""The goods are gone and the money did not come: as settled as a refused capture can be."""

EVENTS_EXCHANGE = "orders.events"
UNROUTED = "orders.unrouted"
TIER = "orders.retry."
DEAD = ".dlq"

STANDING = {
    "new": {None, "unknown"},
    "authorized": {"held", "expired"},
    "declined": {"declined"},
    "voided": {"voided", "declined"},
    "captured": {"captured"},
    "unpaid": {"unpaid"},
}
"""Per state of payment's row, what the card gateway may hold of the order; None where it was never asked."""
OPEN = {"held", "expired", "unpaid"}
"""Gateway statuses in which money is neither taken nor let go."""

TOKEN_COLUMNS = frozenset(
    {
        "order_api.orders.said",
        "order_api.outbox.body",
        "payment.gateway_accounts.token",
        "operations.dead_letters.body",
        "operations.dead_letters.raw",
    }
)
"""Where a payment token is kept: the event that carries it, the gateway that got it, a letter that holds the event."""
ADDRESS_COLUMNS = (TOKEN_COLUMNS - {"payment.gateway_accounts.token"}) | {
    "payment.payments.said",
    "payment.outbox.body",
    "inventory.reservations.said",
    "inventory.outbox.body",
}
"""Where an address is kept: the events that carry it on its way to shipping."""
