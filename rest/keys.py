"""API keys: how they look, how they are made and ended, and the ring that knows which are good."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import structlog
from sqlalchemy import ARRAY, DateTime, LargeBinary, MetaData, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel, col, or_, select, update

from messaging.database import Database, DatabaseUnavailable
from rest.callers import Caller, Scope, new_token, prefix_of
from rest.reading import answered, reading

log = structlog.get_logger(__name__)

DEVELOPMENT = "development"
"""The note on keys that a local stack makes at each start."""

PATIENCE_WITH_STRANGERS = 0.25
"""Seconds: how often at most an unknown key makes the ring look into the database."""


_Moment = DateTime(timezone=True)


class _Model(SQLModel, registry=registry()):
    """Base of the table, on MetaData of its own."""


class ApiKey(_Model, table=True):
    """A key of a client. The secret itself is known to nobody but the client."""

    __tablename__: ClassVar[Any] = "api_keys"

    prefix: str = Field(primary_key=True, sa_type=Text)
    """The public part, by which a key is named."""
    digest: bytes = Field(sa_type=LargeBinary)
    """SHA-256 of the whole key. A key is random and long, so that a slow hash would protect it no better."""
    client_id: str = Field(sa_type=Text)
    scopes: list[str] = Field(sa_type=ARRAY(Text))  # pyright: ignore[reportArgumentType]
    note: str = Field(default="", sa_type=Text)
    created_at: datetime = Field(sa_type=_Moment)  # pyright: ignore[reportArgumentType]
    ends_at: datetime | None = Field(default=None, sa_type=_Moment)  # pyright: ignore[reportArgumentType]
    """From when on it opens nothing; None while it is good without end."""


def attach(metadata: MetaData) -> None:
    """Add the table of API keys to a service's own MetaData."""
    for table in _Model.metadata.sorted_tables:
        table.to_metadata(metadata)


def digest_of(token: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(token.encode()).digest()


async def create(
    database: Database, client_id: str, scopes: Collection[Scope], *, note: str = "", token: str | None = None
) -> str:
    """Store a key of a client, beside those that it has, and return it. Raises ValueError for a malformed `token`."""
    made = token or new_token()
    prefix = prefix_of(made)
    if prefix is None:
        msg = "a key is made of ord_, 12 hexadecimal digits, _ and 43 characters of URL-safe base64"
        raise ValueError(msg)
    row = ApiKey(
        prefix=prefix,
        digest=digest_of(made),
        client_id=client_id,
        scopes=sorted(scopes),
        note=note,
        created_at=datetime.now(UTC),
    )
    async with reading(database) as db, db.begin():
        db.add(row)
    return made


async def end(database: Database, at: datetime, *, prefix: str | None = None, note: str | None = None) -> int:
    """End the key of that prefix, or those of that note, at that time, if they end later; return how many there are."""
    wanted = col(ApiKey.prefix) == prefix if note is None else col(ApiKey.note) == note
    later = or_(col(ApiKey.ends_at).is_(None), col(ApiKey.ends_at) > at)
    async with reading(database) as db, db.begin():
        await db.exec(update(ApiKey).where(wanted, later).values(ends_at=at))
        return len((await db.exec(select(ApiKey.prefix).where(wanted))).all())


async def develop(database: Database, wanted: Mapping[str, tuple[Collection[Scope], str]]) -> None:
    """Make these clients' keys good, each with its scopes, and end those of earlier calls."""
    await end(database, datetime.now(UTC), note=DEVELOPMENT)
    for client_id, (scopes, token) in wanted.items():
        await create(database, client_id, scopes, note=DEVELOPMENT, token=token)


async def stored(database: Database) -> Sequence[ApiKey]:
    """Every key that was ever made, oldest first."""
    async with reading(database) as db:
        return (await db.exec(select(ApiKey).order_by(col(ApiKey.created_at), col(ApiKey.prefix)))).all()


@dataclass(frozen=True, slots=True)
class _Good:
    """A key as the ring has it: what a request needs to know, worked out once."""

    digest: bytes
    ends_at: datetime | None
    caller: Caller

    @classmethod
    def of(cls, key: ApiKey) -> "_Good":
        scopes = frozenset(Scope(scope) for scope in key.scopes)
        return cls(key.digest, key.ends_at, Caller(key.client_id, key.prefix, scopes))


class KeyRing:
    """The good keys, in memory: at most `interval` seconds behind the database, or as long as that has been away.

    A key that was just made works at once, since an unknown one makes the ring look; one that was ended works for
    `interval` seconds more at most.
    """

    def __init__(self, database: Database, interval: float) -> None:
        self._database = database
        self._interval = interval
        self._keys: Mapping[str, _Good] = {}
        self._read_at = -PATIENCE_WITH_STRANGERS
        self._reading = asyncio.Lock()

    async def caller(self, token: str) -> Caller | None:
        """Who holds that key; None if it is no good. Raises DatabaseUnavailable when nobody can tell."""
        prefix = prefix_of(token)
        if prefix is None:
            return None
        if prefix not in self._keys:
            await self._look_again()
        key = self._keys.get(prefix)
        known = b"" if key is None else key.digest
        if not hmac.compare_digest(digest_of(token), known) or key is None:
            return None
        if key.ends_at is not None and key.ends_at <= datetime.now(UTC):
            return None
        return key.caller

    async def keep_fresh(self) -> None:
        """Read the keys anew, again and again."""
        while True:
            try:
                await self._refresh()
            except DatabaseUnavailable as away:
                log.warning("keys_not_refreshed", reason=str(away))
            await asyncio.sleep(self._interval)

    async def _look_again(self) -> None:
        """Have the keys read after this moment: once for all who ask meanwhile, so that strangers cost little."""
        asked_at = time.monotonic()
        async with self._reading:
            if self._read_at < asked_at:
                await asyncio.sleep(self._read_at + PATIENCE_WITH_STRANGERS - asked_at)
                await self._refresh()

    async def _refresh(self) -> None:
        began_at = time.monotonic()
        keys = await answered(stored(self._database))
        self._keys = {key.prefix: _Good.of(key) for key in keys}
        self._read_at = began_at
