"""A role that may read a service's database and do nothing else, for whoever audits or watches it."""

import base64
import hashlib
import hmac
import secrets
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from messaging.database import CONNECT_TIMEOUT, DatabaseUnavailable

ROLE = "orders_reader"
"""Its name, unless another is given."""
ITERATIONS = 4096
"""Of the password's hash: PostgreSQL's own number."""

# Names and the hash are quoted by the server; a statement of this kind takes no parameters.
_CREATE = "SELECT format('CREATE ROLE %I NOLOGIN', $1::text)"
_LOGIN = "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)"
_GRANTS = (
    "SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), $1::text)",
    "SELECT format('GRANT USAGE ON SCHEMA public TO %I', $1::text)",
    "SELECT format('GRANT SELECT ON ALL TABLES IN SCHEMA public TO %I', $1::text)",
    "SELECT format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO %I', $1::text)",
)
"""The last is for tables to come: those that the same user makes, whose migrations they are."""


class NoRight(Exception):  # noqa: N818 - a state
    """The database's user may not make roles, or not change this one."""


def as_reader(url: str, password: str, role: str = ROLE) -> str:
    """The URL of the same database, as that role."""
    return make_url(url).set(username=role, password=password).render_as_string(hide_password=False)


async def grant_reading(url: str, role: str, password: str | None) -> None:
    """Let the role read every table of the database, now and in future; harmless when repeated.

    With a password, the role is made if it is missing, and may log in with it; the server and its logs see the
    password's hash only. Without one, the role must be there. Raises DatabaseUnavailable, NoRight, and LookupError
    for a role that is missing.
    """
    try:
        connection: Any = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
        raise DatabaseUnavailable(f"{type(error).__name__}: {error}") from error
    try:
        await _grant(connection, role, password)
    except asyncpg.InsufficientPrivilegeError as error:
        raise NoRight(str(error)) from error
    finally:
        await connection.close()


async def _grant(connection: Any, role: str, password: str | None) -> None:
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
        if password is None:
            raise LookupError(f"no role {role!r} is here")
        await connection.execute(await connection.fetchval(_CREATE, role))
    if password is not None:
        await connection.execute(await connection.fetchval(_LOGIN, role, scram(password)))
    for grant in _GRANTS:
        await connection.execute(await connection.fetchval(grant, role))


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
