"""The kernel's second version: pruning the inbox reads what is old, and no longer all of it."""

from alembic import op

from messaging.migrations import downgrade_kernel, upgrade_kernel

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    upgrade_kernel(op, version=2)


def downgrade() -> None:
    downgrade_kernel(op, version=2)
