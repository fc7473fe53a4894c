"""A service's PostgreSQL database: every wait bounded, every failure named."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

import asyncpg
import orjson
from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel.ext.asyncio.session import AsyncSession

CONNECT_TIMEOUT = 3.0
"""Seconds to connect, and to wait for a free connection of the pool."""
COMMAND_TIMEOUT = 5.0
"""Seconds for one statement, on the client: the only bound that a dead network obeys."""
RESTED = 1.0
"""Seconds after which a connection that was not used may have been cut by whatever is in between."""
SERVER_SETTINGS = {
    "statement_timeout": "4s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "3s",  # a frozen process lets go of its locks
    "default_transaction_isolation": "read committed",
    "jit": "off",
    # A plan is kept: one that was made while a table was small would read all of it for minutes, however it grows.
    "enable_seqscan": "off",  # where no index serves, a table is read nevertheless
}

_AWAY = {"08", "57", "53", "25006", "58"}
_CONTENTION = {"40001", "40P01", "55P03"}
_DUPLICATE = "23505"


class DatabaseUnavailable(Exception):  # noqa: N818 - an outcome
    """The database is down, out of reach, read-only or full. Nobody's message is to blame."""


def async_engine(url: str, *, connect_args: Mapping[str, Any] = {}, **options: Any) -> AsyncEngine:
    """An engine for a URL with any `postgres` scheme. TLS is as libpq's `sslmode` and `sslrootcert` in it say.

    `verify-full` checks the server's certificate and name, `verify-ca` the certificate alone, against the authorities
    in that file, or the system's; for the other modes see https://www.postgresql.org/docs/17/libpq-ssl.html. Raises
    OSError for a file that cannot be read.
    """
    given = make_url(url).set(drivername="postgresql+asyncpg")
    return create_async_engine(
        json_serializer=as_json,
        json_deserializer=orjson.loads,
        url=given.difference_update_query(["sslmode", "sslrootcert"]),
        connect_args={**connect_args, **_tls(given)},
        **options,
    )


def as_json(value: object) -> str:
    """How a JSON column is written."""
    return orjson.dumps(value).decode()


def _tls(url: URL) -> Mapping[str, Any]:
    mode, authorities = url.query.get("sslmode"), url.query.get("sslrootcert")
    if mode not in {"verify-ca", "verify-full"}:
        return {} if mode is None else {"ssl": mode}
    context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
    context.check_hostname = mode == "verify-full"
    return {"ssl": context}


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's five-character code of an error, if it has one (PostgreSQL documentation, appendix A)."""
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "sqlstate", None)
    return code if isinstance(code, str) else None


def is_unavailable(error: BaseException) -> bool:
    """Whether the database is away, rather than the work wrong. A lost COMMIT looks like this, too."""
    if isinstance(error, PoolTimeoutError | DatabaseUnavailable | InterfaceError):
        return True
    if isinstance(error, asyncpg.InterfaceError):  # the driver's: no connection; or an argument that fits no column
        return not isinstance(error, ValueError)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    code = sqlstate(error)
    return code is not None and (code[:2] in _AWAY or code in _AWAY)


def is_contention(error: BaseException) -> bool:
    """Whether the work met other work: deadlock, lock timeout or serialization failure. It may simply run again."""
    return sqlstate(error) in _CONTENTION


def is_duplicate(error: BaseException) -> bool:
    """Whether a row with that key is there already."""
    return sqlstate(error) == _DUPLICATE


async def _connect(*args: Any, **options: Any) -> Any:
    """Connect as asyncpg does; a network that refuses or is silent is named for what it is here."""
    try:
        return await asyncpg.connect(*args, **options)
    except OSError as error:  # TimeoutError is one
        raise DatabaseUnavailable(f"{type(error).__name__}: {error}") from error


def _ask_those_at_rest(engine: AsyncEngine) -> None:
    """Before a connection is used that rested for RESTED seconds, ask it for a sign of life, or connect anew.

    SQLAlchemy's `pool_pre_ping` asks before every use, which are three round trips where a transaction has about six.
    One that was in use a moment ago knows by itself whether its server has closed it.
    """
    pool, dialect = engine.sync_engine.pool, engine.dialect

    @event.listens_for(pool, "checkin")
    def rest(_: Any, record: ConnectionPoolEntry) -> None:
        record.info["since"] = time.monotonic()

    @event.listens_for(pool, "checkout")
    def ask(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
        rested = time.monotonic() - record.info.get("since", time.monotonic()) > RESTED
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        if rested:
            try:
                dialect.do_ping(connection)
            except dialect.loaded_dbapi.Error as error:
                raise InvalidatePoolError from error


class Database:
    """The engine and its sessions. Connects when first used."""

    def __init__(self, url: str, *, name: str, pool_size: int = 8) -> None:
        self.url = url
        self.name = name
        self._pool_size = pool_size

    @cached_property
    def engine(self) -> AsyncEngine:
        """The pool of connections. Raises DatabaseUnavailable when no URL was given."""
        if not self.url:
            msg = f"{self.name.upper()}_DATABASE_URL is not set"
            raise DatabaseUnavailable(msg)
        engine = async_engine(
            self.url,
            pool_size=self._pool_size,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT,
            hide_parameters=True,  # an error's text would hold bodies of events
            connect_args={
                "async_creator_fn": _connect,
                "timeout": CONNECT_TIMEOUT,
                "command_timeout": COMMAND_TIMEOUT,
                "server_settings": {**SERVER_SETTINGS, "application_name": self.name},
            },
        )
        _ask_those_at_rest(engine)
        return engine

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[AsyncSession]:
        """A session of its own; what was not committed is rolled back at the end."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            yield session

    async def check(self) -> None:
        """Ask the database for a sign of life, for at most CONNECT_TIMEOUT seconds.

        Raises DatabaseUnavailable if there is none, and RuntimeError if transactions are not READ COMMITTED: the
        row behind an `ON CONFLICT DO NOTHING` would be invisible.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT), self.session() as session:
                level = (await (await session.connection()).execute(text("SHOW transaction_isolation"))).scalar_one()
        except Exception as error:
            if is_unavailable(error):
                raise DatabaseUnavailable(str(error)) from error
            raise
        if level != "read committed":
            msg = f"{self.name}: transaction isolation is {level!r}, need 'read committed'"
            raise RuntimeError(msg)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        del self.__dict__["engine"]
