"""Payments, the simulated gateway's accounts, and the kernel's tables."""

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
        "payments",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="new", nullable=False),
        sa.Column("said", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("anomalies", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("payment_id", sa.Text()),
        sa.Column("amount", sa.BigInteger()),
        sa.Column("currency", sa.Text()),
        sa.PrimaryKeyConstraint("order_id"),
        sa.CheckConstraint(
            "state IN ('new', 'authorized', 'declined', 'voided', 'captured', 'unpaid')", name="state_known"
        ),
        sa.CheckConstraint("amount >= 0", name="amount_not_negative"),
    )
    op.create_table(
        "gateway_accounts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("token", sa.Text()),
        sa.Column("amount", sa.BigInteger()),
        sa.Column("currency", sa.Text()),
        sa.Column("decline_reason", sa.String(32)),
        sa.Column("void_reason", sa.String(32)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.CheckConstraint(
            "status IN ('unknown', 'held', 'expired', 'declined', 'voided', 'captured', 'unpaid')", name="status_known"
        ),
        sa.CheckConstraint("generation >= 1", name="generation_counts"),
    )


def downgrade() -> None:
    op.drop_table("gateway_accounts")
    op.drop_table("payments")
    downgrade_kernel(op, version=1)
