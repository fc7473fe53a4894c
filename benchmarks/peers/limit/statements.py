"""Whole groups in one statement each: inbox, effect and outbox, committed together."""

from collections.abc import Sequence

import asyncpg

from benchmarks.peers.limit.messages import Said

_APPEND = """
    INSERT INTO outbox (id, event_id, name, type, order_id, body, headers, cause_id, redrive, due_at)
    SELECT id, event_id, '{name}', '{name}.v1', order_id, body, {headers}, {cause}, 0, now() + interval '2 seconds'
    FROM {source} RETURNING id
"""


def answering(queue: str, name: str, effect: str, **extra: str) -> str:
    """Return what handles a group of one queue's messages.

    Arrays of id, event_id, order_id, body of what is said, and cause_id of what was heard come first, then those that
    `extra` names with their types. `effect` changes rows FROM new, the messages that are heard for the first time.
    """
    types = {"id": "uuid", "event_id": "uuid", "order_id": "uuid", "body": "text", "cause_id": "uuid", **extra}
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types.values(), 1))
    append = _APPEND.format(
        name=name, headers="jsonb_build_object('x-causation-id', cause_id)", cause="cause_id", source="new"
    )
    return f"""
        WITH heard AS (SELECT * FROM unnest({arrays}) AS t ({", ".join(types)})),
        fresh AS (
            INSERT INTO inbox (event_id, queue, redrive) SELECT cause_id, '{queue}', 0 FROM heard
            ON CONFLICT DO NOTHING RETURNING event_id AS cause_id),
        new AS (SELECT * FROM heard JOIN fresh USING (cause_id)),
        effect AS ({effect})
        {append}
    """  # noqa: S608 - constants only


ACCEPT = f"""
    WITH placed AS (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::bigint[], $7::jsonb[],
                             $8::timestamptz[], $9::text[])
        AS t (id, event_id, order_id, body, command_id, total, items, at, customer_id)),
    commands AS (INSERT INTO inbox (event_id, queue, redrive) SELECT command_id, 'command', 0 FROM placed),
    accepted AS (
        INSERT INTO orders (order_id, client_id, state, said, anomalies, customer_id, currency, total, items,
                            created_at, updated_at, redrives, next_deadline)
        SELECT order_id, 'local', 'pending', jsonb_build_object('order.created', body::jsonb), '[]', customer_id, 'EUR',
               total, items, at, at, 0, now() + interval '20 minutes' FROM placed),
    facts AS (
        INSERT INTO facts (order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_after)
        SELECT order_id, 'order.created', event_id, at, at, '{{}}', 'local', 'pending' FROM placed)
    {_APPEND.format(name="order.created", headers="'{}'", cause="NULL", source="placed")}
"""  # noqa: S608 - constants only

LOCK = """
    SELECT order_id, state, ARRAY(SELECT name FROM facts WHERE facts.order_id = orders.order_id)
    FROM orders WHERE order_id = ANY ($1) ORDER BY order_id FOR UPDATE
"""
CLAIM = """
    INSERT INTO inbox (event_id, queue, redrive) SELECT event_id, queue, 0
    FROM unnest($1::uuid[], $2::text[]) AS t (event_id, queue) ON CONFLICT DO NOTHING RETURNING event_id, queue
"""
RECORD = """
    WITH changed AS (
        UPDATE orders SET state = t.state, updated_at = now(),
            next_deadline = CASE WHEN t.settled THEN NULL ELSE next_deadline END
        FROM unnest($1::uuid[], $2::text[], $3::bool[]) AS t (order_id, state, settled)
        WHERE orders.order_id = t.order_id)
    INSERT INTO facts (order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_before, status_after)
    SELECT order_id, name, event_id, occurred_at, now(), detail, split_part(name, '.', 1), before, after
    FROM unnest($4::uuid[], $5::text[], $6::uuid[], $7::timestamptz[], $8::jsonb[], $9::text[],
                $10::text[])
    AS t (order_id, name, event_id, occurred_at, detail, before, after)
"""

MARK_SENT = "UPDATE outbox SET sent_at = now() WHERE id = ANY ($1) AND sent_at IS NULL"


async def answer(db: asyncpg.Connection, statement: str, said: Sequence[Said], *extra: Sequence[object]) -> list[Said]:
    """Run a statement that handles a group; returns what is to be sent, which is what had not been said before."""
    columns = [
        [message.id for message in said],
        [message.event_id for message in said],
        [message.order_id for message in said],
        [message.body for message in said],
        [message.cause_id for message in said],
    ]
    stored = {row[0] for row in await db.fetch(statement, *columns, *extra)}
    return [message for message in said if message.id in stored]
