"""What the audit found."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "violations",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.func.gen_random_uuid()),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("first_seen", MOMENT, nullable=False),
        sa.Column("last_seen", MOMENT, nullable=False),
        sa.Column("cleared_at", MOMENT),
    )
    still_open = sa.text("cleared_at IS NULL")
    op.create_index("violations_open", "violations", ["kind", "subject"], unique=True, postgresql_where=still_open)
    op.create_index("violations_newest", "violations", ["first_seen"])


def downgrade() -> None:
    op.drop_table("violations")
