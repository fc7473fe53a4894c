"""Where an order's trace began."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("trace", sa.Text))


def downgrade() -> None:
    op.drop_column("orders", "trace")
