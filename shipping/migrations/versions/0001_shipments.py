"""Shipments, the simulated carrier's bookings, and the kernel's tables."""

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
        "shipments",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="new", nullable=False),
        sa.Column("said", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("anomalies", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("carrier", sa.Text()),
        sa.Column("tracking_number", sa.Text()),
        sa.Column("undo", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("cancel_reason", sa.String(32)),
        sa.PrimaryKeyConstraint("order_id"),
        sa.CheckConstraint("state IN ('new', 'ready', 'failed', 'cancelled')", name="state_known"),
        sa.CheckConstraint("(state = 'cancelled') = (cancel_reason IS NOT NULL)", name="cancelled_for_a_reason"),
        sa.CheckConstraint("NOT undo OR state = 'cancelled'", name="undo_is_for_cancelled"),
    )
    op.create_index("shipments_to_undo", "shipments", ["order_id"], postgresql_where=sa.text("undo"))
    op.create_table(
        "carrier_bookings",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("cancel_reason", sa.String(32)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.CheckConstraint("status IN ('unknown', 'booked', 'undeliverable', 'cancelled')", name="status_known"),
    )


def downgrade() -> None:
    op.drop_table("carrier_bookings")
    op.drop_table("shipments")
    downgrade_kernel(op, version=1)
