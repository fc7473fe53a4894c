"""The kernel's own tables, present in every service's database."""

from sqlalchemy import Column, DateTime, Index, Integer, MetaData, Table, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB

METADATA = MetaData()

PERSONAL = "personal-data"
"""Key in a column's `info`: it holds personal data, and which kind."""
TEXT, BODY = "text", "body"
"""A value that is personal as a whole; bodies of events, in which contracts say what is."""
PERSONAL_TEXT = {"info": {PERSONAL: TEXT}}
PERSONAL_BODY = {"info": {PERSONAL: BODY}}
"""Options of a column. Its table says whose it is by `order_id`, or by `key` as text."""

INBOX = Table(
    "inbox",
    METADATA,
    Column("event_id", Uuid, primary_key=True),
    Column("queue", Text, primary_key=True),
    Column("redrive", Integer, primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("inbox_received", "received_at"),  # for pruning: without it, all of the table is read each time
    comment="What was applied: the key of a message is its queue, its id and its re-drive number.",
)

OUTBOX = Table(
    "outbox",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("event_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("order_id", Uuid),
    Column("body", Text, nullable=False, info={PERSONAL: BODY}),
    Column("headers", JSONB, nullable=False),
    Column("cause_id", Uuid),
    Column("redrive", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Index("outbox_due", "due_at", postgresql_where=text("sent_at IS NULL")),
    Index("outbox_unsent_by_cause", "cause_id", postgresql_where=text("sent_at IS NULL")),
    Index("outbox_sent", "sent_at", postgresql_where=text("sent_at IS NOT NULL")),
    comment="What was said: stored with its cause's effect, sent with a confirm, marked after it.",
)

SUSPECTS = Table(
    "suspects",
    METADATA,
    Column("event_id", Uuid, primary_key=True),
    Column("queue", Text, primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("noted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="Redelivered messages that are being handled, or whose handling ended their process.",
)

KERNEL = (INBOX, OUTBOX, SUSPECTS)
ADDED = {2: frozenset({"inbox_received"})}
"""The indexes that came with a later version of the kernel's schema."""


def attach(metadata: MetaData) -> None:
    """Add the kernel's tables to a service's own MetaData."""
    for table in KERNEL:
        table.to_metadata(metadata)
