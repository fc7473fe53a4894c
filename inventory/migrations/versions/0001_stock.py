"""Reservations, stock, receipts of goods, and the kernel's tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from messaging.migrations import downgrade_kernel, upgrade_kernel

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    upgrade_kernel(op, version=1)
    op.create_table(
        "reservations",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="new", nullable=False),
        sa.Column("said", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("anomalies", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("items", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.PrimaryKeyConstraint("order_id"),
        sa.CheckConstraint("state IN ('new', 'reserved', 'rejected', 'released', 'shipped')", name="state_known"),
    )
    op.create_table(
        "stock",
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("initial", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("shipped", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sku"),
        sa.CheckConstraint("on_hand - reserved >= 0", name="available_not_negative"),
        sa.CheckConstraint("reserved >= 0", name="reserved_not_negative"),
        sa.CheckConstraint("on_hand = initial + received - shipped", name="movements_explain_on_hand"),
    )
    op.create_table(
        "stock_receipts",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("said", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        sa.CheckConstraint("quantity > 0", name="quantity_positive"),
    )


def downgrade() -> None:
    op.drop_table("stock_receipts")
    op.drop_table("stock")
    op.drop_table("reservations")
    downgrade_kernel(op, version=1)
