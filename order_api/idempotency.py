"""Requests that may be repeated: the first answer is given again, and nothing happens twice.

The semantics are those of Stripe's API: a key belongs to a client; the first answer is replayed for its repetitions;
another request under the same key is refused, and so is a repetition while the first one is in flight. A request that
was refused as invalid leaves the key free. The answer is stored in the transaction of what it tells of, so that there
is no moment at which one is there without the other.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any, Generic, TypeVar, cast
from uuid import UUID, uuid5

from pydantic import BaseModel
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import Event
from messaging.commands import Execute
from messaging.database import Database, is_duplicate
from messaging.rows import add, driver_of
from order_api.models import Kept
from rest.reading import reading

A = TypeVar("A", bound=BaseModel)
NAMESPACE = UUID("5b1d8f5e-0f0a-4a3c-9d8e-6f1f3c1f7a10")
PRUNE_INTERVAL = 600.0
PRUNE_BATCH = 5_000


class KeyMisused(Exception):  # noqa: N818 - an outcome
    """The request cannot be worked on under this key. The three reasons are its subclasses."""


class InFlight(KeyMisused):
    """A request with this key is being worked on."""


class OtherRequest(KeyMisused):
    """The key was used for another request."""


class Forgotten(KeyMisused):
    """The key was used so long ago that its answer is no longer kept; what it made is there."""

    def __init__(self, made: UUID) -> None:
        super().__init__(made)
        self.made = made


@dataclass(frozen=True)
class Key:
    """A client's idempotency key, and what was asked under it."""

    client_id: str
    value: str
    request: bytes
    """The request in a form that is the same for its repetitions."""

    @cached_property
    def made(self) -> UUID:
        """The id of what a request under this key makes: the same for ever, so that it is never made twice."""
        return uuid5(NAMESPACE, f"{self.client_id}\0{self.value}")

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.client_id, self.value

    @property
    def fingerprint(self) -> bytes:
        """What is kept of the request."""
        return hashlib.sha256(self.request).digest()

    @property
    def lock(self) -> int:
        """A number for PostgreSQL's advisory locks."""
        return int.from_bytes(self.made.bytes[:8], signed=True)


@dataclass(frozen=True, slots=True)
class Answer(Generic[A]):
    """What a request is answered with."""

    body: A
    repeated: bool = False


_LOOK = """
    SELECT client_id, key, pg_try_advisory_xact_lock(lock) AS free, fingerprint, answer,
           EXISTS (SELECT FROM orders WHERE order_id = given.made) AS made
    FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[]) AS given (lock, made, client_id, key)
    LEFT JOIN idempotency_keys USING (client_id, key)
"""
"""The locks end with the transaction; a request that another process works on is not waited for."""
_LOOKED = "order_api.idempotency"
MOST_TOGETHER = 100
"""Keys that are looked for together at most."""


class Repetitions:
    """Runs requests, each key's once."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._in_flight: dict[tuple[str, str], Key] = {}

    async def run(
        self,
        key: Key | None,
        shape: type[A],
        work: Callable[[AsyncSession], Awaitable[tuple[A | None, Sequence[Event]]]],
    ) -> Answer[A] | None:
        """Return what `work` answers, or what it answered before; None if it found nothing to work on.

        Raises InFlight, OtherRequest, Forgotten, and what `Service.execute` raises.
        """
        if key is None:
            return await self._once(None, shape, work)
        with self._alone(key):
            try:
                return await self._once(key, shape, work)
            except Exception as error:
                if not is_duplicate(error):  # another process stored the answer between our look and our lock
                    raise
                return await self._once(key, shape, work)

    async def answer(self, database: Database, key: Key | None, shape: type[A]) -> Answer[A] | None:
        """Return what was answered under this key, if anything was. Raises OtherRequest."""
        if key is None:
            return None
        async with reading(database) as db:
            kept = await db.get(Kept, (key.client_id, key.value))
        return None if kept is None else _replay(key, shape, kept.fingerprint, kept.answer)

    async def _once(
        self,
        key: Key | None,
        shape: type[A],
        work: Callable[[AsyncSession], Awaitable[tuple[A | None, Sequence[Event]]]],
    ) -> Answer[A] | None:
        outcome = cast("Answer[A] | Exception | None", None)

        async def run(db: AsyncSession) -> Sequence[Event]:
            # What ends the request is returned, not raised: an exception would roll back the others in the group.
            nonlocal outcome
            if key is not None:
                outcome = await earlier(db, key, shape, self._in_flight.values())
                if outcome is not None:
                    return ()
            body, events = await work(db)
            outcome = None if body is None else Answer(body)
            if key is not None and body is not None:
                add(db, Kept, _kept(key, body))
            return events

        await self._execute(run)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @contextmanager
    def _alone(self, key: Key) -> Generator[None]:
        """Hold the key in this process. Raises InFlight."""
        if key.name in self._in_flight:
            raise InFlight
        self._in_flight[key.name] = key
        try:
            yield
        finally:
            del self._in_flight[key.name]


async def earlier(db: AsyncSession, key: Key, shape: type[A], beside: Iterable[Key]) -> Answer[A] | Exception | None:
    """What became of an earlier request under this key.

    The keys `beside` it are those that this process works on: most are of the same group, so all are looked for by one
    statement. One that is of a later group is looked for again, then; until this group ends, another process finds it
    in flight, as it is.
    """
    looked: dict[tuple[str, str], Any] = db.info.setdefault(_LOOKED, {})
    if key.name not in looked:
        others = (other for other in beside if other.name not in looked and other.name != key.name)
        keys = [key, *islice(others, MOST_TOGETHER - 1)]
        columns = zip(*((each.lock, each.made, each.client_id, each.value) for each in keys), strict=True)
        for found in await (await driver_of(db)).fetch(_LOOK, *map(list, columns)):
            looked[found["client_id"], found["key"]] = found
    found = looked[key.name]
    if not found["free"]:
        return InFlight()
    if found["fingerprint"] is not None:
        try:
            return _replay(key, shape, found["fingerprint"], found["answer"])
        except OtherRequest as other:
            return other
    return Forgotten(key.made) if found["made"] else None


def _replay(key: Key, shape: type[A], fingerprint: bytes, answer: dict[str, Any]) -> Answer[A]:
    if fingerprint != key.fingerprint:
        raise OtherRequest
    return Answer(shape.model_validate(answer), repeated=True)


def _kept(key: Key, body: BaseModel) -> dict[str, object]:
    return {
        "client_id": key.client_id,
        "key": key.value,
        "fingerprint": key.fingerprint,
        "answer": body.model_dump(mode="json"),
        "created_at": datetime.now(UTC),
    }


_PRUNE = text("""
    DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM idempotency_keys WHERE created_at < :before LIMIT :batch
    ))
""")


async def prune(execute: Execute, age: timedelta) -> int:
    """Forget answers older than `age`, in small transactions; return how many there were."""
    total = gone = 0

    async def forget(db: AsyncSession) -> Sequence[Event]:
        nonlocal gone
        values = {"before": datetime.now(UTC) - age, "batch": PRUNE_BATCH}
        gone = (await (await db.connection()).execute(_PRUNE, values)).rowcount
        return ()

    while True:
        await execute(forget)
        total += gone
        if gone < PRUNE_BATCH:
            return total


async def keep_pruned(execute: Execute, age: timedelta) -> None:
    """Prune again and again. Raises what the database raises."""
    while True:
        await asyncio.sleep(PRUNE_INTERVAL)
        await prune(execute, age)
