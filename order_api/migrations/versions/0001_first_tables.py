"""Orders, their facts, products, and the kernel's tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from messaging.migrations import downgrade_kernel, upgrade_kernel

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    upgrade_kernel(op, version=1)
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("state", sa.Text, nullable=False, server_default="new"),
        sa.Column("said", JSONB, nullable=False, server_default="{}"),
        sa.Column("anomalies", JSONB, nullable=False, server_default="[]"),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("items", JSONB, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("redrives", sa.Integer, nullable=False),
        sa.Column("next_deadline", MOMENT),
        sa.CheckConstraint(
            "state IN ('pending', 'authorized', 'reserved', 'cancelling', 'ready', 'rejected', 'cancelled')",
            name="state_known",
        ),
    )
    op.create_index(
        "orders_watched", "orders", ["next_deadline"], postgresql_where=sa.text("next_deadline IS NOT NULL")
    )
    op.create_table(
        "facts",
        sa.Column("order_id", sa.Uuid, sa.ForeignKey("orders.order_id"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("detail", JSONB, nullable=False),
    )
    op.create_table(
        "products",
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("available", sa.BigInteger),
        sa.Column("available_at", MOMENT),
        sa.CheckConstraint("price >= 0", name="price_not_negative"),
    )


def downgrade() -> None:
    for table in ("products", "facts", "orders"):
        op.drop_table(table)
    downgrade_kernel(op, version=1)
