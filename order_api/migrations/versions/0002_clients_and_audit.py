"""Clients and their API keys, kept answers, and facts that say who said them and what they changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
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
        "idempotency_keys",
        sa.Column("client_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("answer", JSONB, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    op.create_index("idempotency_keys_old", "idempotency_keys", ["created_at"])
    op.add_column("orders", sa.Column("client_id", sa.Text, nullable=False, server_default="before-clients"))
    op.alter_column("orders", "client_id", server_default=None)
    op.create_index("orders_newest", "orders", ["created_at", "order_id"])
    op.create_index("orders_of_client", "orders", ["client_id", "created_at", "order_id"])
    op.create_index("orders_of_customer", "orders", ["client_id", "customer_id", "created_at", "order_id"])
    op.add_column("facts", sa.Column("actor", sa.Text, nullable=False, server_default="before-audit"))
    op.add_column("facts", sa.Column("status_before", sa.Text))
    op.add_column("facts", sa.Column("status_after", sa.Text, nullable=False, server_default="unknown"))
    op.add_column("facts", sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False))
    op.alter_column("facts", "actor", server_default=None)
    op.alter_column("facts", "status_after", server_default=None)
    _tell_what_orders_said()
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'what happened to an order is written once'; END $$"
    )
    op.execute(
        "CREATE TRIGGER facts_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON facts "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _tell_what_orders_said() -> None:
    """Until here, an order's creation and the request for its cancellation were no facts of their own."""
    op.execute(
        """
        INSERT INTO facts (order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_after)
        SELECT order_id, name, (body ->> 'event_id')::uuid, (body ->> 'occurred_at')::timestamptz,
               (body ->> 'occurred_at')::timestamptz,
               CASE WHEN body ? 'reason' THEN jsonb_build_object('reason', body -> 'reason') ELSE '{}' END,
               'before-audit', 'unknown'
        FROM orders CROSS JOIN LATERAL jsonb_each(said) AS each(name, body)
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER facts_are_final ON facts")
    op.execute("DROP FUNCTION refuse_change()")
    op.execute("DELETE FROM facts WHERE name LIKE 'order.%'")
    for column in ("position", "status_after", "status_before", "actor"):
        op.drop_column("facts", column)
    for index in ("orders_of_customer", "orders_of_client", "orders_newest"):
        op.drop_index(index, "orders")
    op.drop_column("orders", "client_id")
    op.drop_table("idempotency_keys")
    op.drop_table("api_keys")
