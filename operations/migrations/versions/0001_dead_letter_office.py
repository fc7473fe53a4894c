"""The dead-letter office, API keys, and the kernel's tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from messaging.migrations import downgrade_kernel, upgrade_kernel

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    upgrade_kernel(op, version=1)
    op.create_table(
        "api_keys",
        sa.Column("prefix", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text),
        sa.Column("order_id", sa.Uuid),
        sa.Column("redrive", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("properties", JSONB, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("error_class", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("first_failed_at", MOMENT, nullable=False),
        sa.Column("last_failed_at", MOMENT, nullable=False),
        sa.Column("stored_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT),
        sa.Column("trace_id", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("replaces", sa.Uuid, sa.ForeignKey("dead_letters.id")),
        sa.CheckConstraint("state IN ('open', 'replaying', 'done', 'discarded', 'edited')", name="state_known"),
    )
    op.create_index("dead_letters_identity", "dead_letters", ["queue", "identity"], unique=True)
    op.create_index("dead_letters_newest", "dead_letters", ["last_failed_at", "id"])
    op.create_index("dead_letters_alike", "dead_letters", ["fingerprint", "state"])
    op.create_index(
        "dead_letters_of_order", "dead_letters", ["order_id"], postgresql_where=sa.text("order_id IS NOT NULL")
    )
    op.create_table(
        "failures",
        sa.Column("dead_letter_id", sa.Uuid, sa.ForeignKey("dead_letters.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("mark", sa.Text, primary_key=True),
        sa.Column("failed_at", MOMENT, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("error_class", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("replay_id", sa.Uuid),
    )
    op.create_table(
        "replay_runs",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("started_by", sa.Text, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("selection", JSONB, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("rate", sa.Float, nullable=False),
        sa.Column("tolerate", sa.Float, nullable=False),
        sa.Column("forgiven", sa.BigInteger, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("why", sa.Text),
        sa.Column("leased_until", MOMENT, nullable=False),
        sa.CheckConstraint("state IN ('running', 'paused', 'stopped', 'ended', 'done')", name="run_state_known"),
    )
    op.create_table(
        "replays",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("run_id", sa.Uuid, sa.ForeignKey("replay_runs.id"), nullable=False),
        sa.Column("dead_letter_id", sa.Uuid, sa.ForeignKey("dead_letters.id", ondelete="CASCADE"), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("sent_at", MOMENT),
        sa.Column("outcome", sa.Text),
        sa.Column("answered_at", MOMENT),
        sa.Column("detail", sa.Text),
        sa.CheckConstraint(
            "outcome IN ('applied', 'no-effect', 'failed', 'no-receipt', 'not-sent')", name="outcome_known"
        ),
    )
    op.create_index("replays_of_run", "replays", ["run_id", "position"], unique=True)
    op.create_index("replays_of_dead_letter", "replays", ["dead_letter_id"])
    op.create_table(
        "operator_actions",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", JSONB, nullable=False),
    )
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'what an operator did is written once'; END $$"
    )
    op.execute(
        "CREATE TRIGGER actions_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_actions "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    for table in ("operator_actions", "replays", "replay_runs", "failures", "dead_letters", "api_keys"):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change()")
    downgrade_kernel(op, version=1)
