"""Roles of a service's database: one for the service, which changes rows but no table, and one that may only read."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from messaging.database import CONNECT_TIMEOUT, DatabaseUnavailable

ROLE = "orders_reader"
"""The name of the one that may only read, unless another is given."""
ITERATIONS = 4096
"""Of the password's hash: PostgreSQL's own number."""

# Names and the hash are quoted by the server; a statement of this kind takes no parameters.
_CREATE = "SELECT format('CREATE ROLE %I NOLOGIN', $1::text)"
_LOGIN = "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)"
_ENTER = (
    "SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), $1::text)",
    "SELECT format('GRANT USAGE ON SCHEMA public TO %I', $1::text)",
)
READING = (
    *_ENTER,
    "SELECT format('GRANT SELECT ON ALL TABLES IN SCHEMA public TO %I', $1::text)",
    "SELECT format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO %I', $1::text)",
)
"""Read every table. The last is for tables to come: those that the same user makes, whose migrations they are."""
_ROWS = "SELECT, INSERT, UPDATE, DELETE"
SERVING = (
    *_ENTER,
    f"SELECT format('GRANT {_ROWS} ON ALL TABLES IN SCHEMA public TO %I', $1::text)",
    f"SELECT format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {_ROWS} ON TABLES TO %I', $1::text)",
    "SELECT format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO %I', $1::text)",
    "SELECT format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO %I', $1::text)",
    # what another service's user, or anybody else, had by default
    "SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database())",
    "SELECT 'REVOKE CREATE ON SCHEMA public FROM PUBLIC'",
    # which migrations have run is for those to say who run them
    "SELECT format('REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM %I', $1::text)",
)
"""Read and change rows, of tables to come, too; nothing else, and nobody else."""


class NoRight(Exception):  # noqa: N818 - a state
    """The database's user may not make roles, or not change this one."""


def as_role(url: str, password: str, role: str = ROLE) -> str:
    """The URL of the same database, as that role."""
    return make_url(url).set(username=role, password=password).render_as_string(hide_password=False)


async def grant(url: str, role: str, password: str | None, grants: Sequence[str] = READING) -> None:
    """Let the role do that in the database, now and in future; harmless when repeated. The owner's URL is needed.

    With a password, the role is made if it is missing, and may log in with it; the server and its logs see the
    password's hash only. Without one, the role must be there. Raises DatabaseUnavailable, NoRight, and LookupError
    for a role that is missing.
    """
    try:
        connection: Any = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
        raise DatabaseUnavailable(f"{type(error).__name__}: {error}") from error
    try:
        await _grant(connection, role, password, grants)
    except asyncpg.InsufficientPrivilegeError as error:
        raise NoRight(str(error)) from error
    finally:
        await connection.close()


async def _grant(connection: Any, role: str, password: str | None, grants: Sequence[str]) -> None:
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
        if password is None:
            raise LookupError(f"no role {role!r} is here")
        await connection.execute(await connection.fetchval(_CREATE, role))
    if password is not None:
        await connection.execute(await connection.fetchval(_LOGIN, role, scram(password)))
    for each in grants:
        await connection.execute(await connection.fetchval(each, *([role] if "$1" in each else [])))


def scram(password: str) -> str:
    """The password as PostgreSQL stores it (RFC 5803). Raises ValueError for one that is not ASCII.

    Any other would have to be normalized first, as the client does it.
    """
    if not password.isascii() or not password.isprintable():
        raise ValueError("the password must be of printable ASCII characters")
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
