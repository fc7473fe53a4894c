"""Fills a contender's databases with old orders: copies of one that it carried itself, each under ids of its own.

Copies are a second apart, and older than what our services keep in inbox and outbox, which hold none of them.
"""

from datetime import timedelta

import asyncpg

AGE = timedelta(days=30)
"""Of the newest copy."""
NOT_KEPT = ("inbox", "outbox")
"""Tables that are pruned."""
BATCH = 50_000
"""Copies that one statement makes."""

_COLUMNS = """
    SELECT table_name, column_name, udt_name FROM information_schema.columns
    WHERE table_schema = 'public' AND is_identity = 'NO' ORDER BY table_name, ordinal_position
"""
_NEW_ID = """
    (lpad(to_hex($4::bigint - number * 1000), 12, '0')
     || '7' || substr(md5(number::text), 1, 3) || '8' || substr(md5(number::text), 4, 15))::uuid
"""
"""A UUIDv7 of the copy's time, as ours are."""


async def copy_order(url: str, order_id: str, copies: int, now: float) -> None:
    """Copy an order's rows, in every table of the database that knows it, so many times.

    `now`, in seconds since the epoch, is to be the same for all databases: the copies' ids follow from it.
    """
    newest = int(1000 * (now - AGE.total_seconds()))
    database = await asyncpg.connect(url, timeout=60)
    try:
        await database.execute("SET session_replication_role = replica")  # whatever refers to a copy, the copy is there
        tables: dict[str, dict[str, str]] = {}
        for table, column, kind in await database.fetch(_COLUMNS):
            tables.setdefault(table, {})[column] = kind
        for table, columns in tables.items():
            key = next((column for column in ("order_id", "key") if column in columns), None)
            if key is None or table in NOT_KEPT:
                continue
            statement = _copy(table, columns, key)
            for begun in range(0, copies, BATCH):
                last = min(begun + BATCH, copies) - 1
                await database.execute(statement, order_id, begun, last, newest, timeout=3600)
            await database.execute(f'VACUUM ANALYZE "{table}"', timeout=3600)
    finally:
        await database.close()


def _copy(table: str, columns: dict[str, str], key: str) -> str:
    names = ", ".join(columns)
    values = ", ".join(_copied(column, kind) for column, kind in columns.items())
    return f"""
        INSERT INTO {table} ({names})
        SELECT {values} FROM {table} AS old, (
            SELECT number, new_id, $1::text AS old_id, new_id::text AS new_text,
                   replace($1::text, '-', '') AS old_hex, replace(new_id::text, '-', '') AS new_hex
            FROM (SELECT number, {_NEW_ID} AS new_id FROM generate_series($2::bigint, $3::bigint) AS t (number)) AS ids
        ) AS copies WHERE old.{key}::text = $1
    """  # noqa: S608 - names from the catalogue


def _copied(column: str, kind: str) -> str:
    if kind == "uuid":
        return "new_id" if column == "order_id" else f"md5(new_text || old.{column}::text)::uuid"
    if kind == "timestamptz":
        return f"old.{column} - interval '{AGE.days} days' - number * interval '1 second'"
    if kind not in {"text", "varchar", "jsonb"}:
        return f"old.{column}"
    text = f"replace(old.{column}::text, old_id, new_text)"
    text = f"replace(replace({text}, old_hex, new_hex), upper(old_hex), upper(new_hex))"
    return f"({text})::{kind}"
