"""Takes dead letters into custody: stored once, however often the broker brings them, and only then acknowledged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import orjson
import uuid_utils
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select, tuple_
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.collector import DeadLetter as Taken
from messaging.envelope import (
    ATTEMPT,
    ERROR_CLASS,
    ERROR_REASON,
    FIRST_FAILURE,
    LAST_FAILURE,
    REDRIVE,
    REPLAY,
)
from messaging.topology import UNROUTED, dead_letter_queue, event_of
from messaging.unreadable import too_deep
from operations.domain import Outcome, State, fingerprint, identity, truer
from operations.models import DeadLetter, Failure, Replay

NOBODY = "unrouted"
"""The service, as far as there is one, of an event that nobody is bound to."""
BROKER = "BrokerDeadLettered"
"""The error class of a message that RabbitMQ itself gave up: it came back too often."""
NOT_BOUND = "Unrouted"
MOST_PLACES = 1_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """A dead letter as it is stored, and the failure that brought it."""

    row: dict[str, Any]
    failure: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same one again."""
        return self.row["queue"], self.row["identity"]


async def store(db: AsyncSession, letters: Sequence[Taken]) -> None:
    """Store them in one transaction; harmless when repeated.

    One that is known is open again if this is a failure that is not: it came back from a replay, or failed anew.
    """
    now = datetime.now(UTC)
    arrivals = [arrival(letter, now) for letter in letters]
    rows = {each.key: each.row for each in sorted(arrivals, key=lambda each: each.key)}
    core = await db.connection()
    await core.execute(insert(DeadLetter).values(list(rows.values())).on_conflict_do_nothing())
    wanted = tuple_(col(DeadLetter.queue), col(DeadLetter.identity)).in_(list(rows))
    found = await db.exec(select(DeadLetter).where(wanted).order_by(col(DeadLetter.id)).with_for_update())
    known = {(row.queue, row.identity): row for row in found}
    failures = {
        (known[each.key].id, each.failure["mark"]): {**each.failure, "dead_letter_id": known[each.key].id}
        for each in arrivals
    }
    new = insert(Failure).values(list(failures.values())).on_conflict_do_nothing()
    fresh = {(row.dead_letter_id, row.mark) for row in await core.execute(new.returning(Failure))}
    for each in arrivals:
        row = known[each.key]
        if (row.id, each.failure["mark"]) in fresh:
            await _note(db, row, each)


async def _note(db: AsyncSession, row: DeadLetter, arrival: Arrival) -> None:
    """Let the dead letter tell of its newest failure, and answer the replay that it comes from."""
    fresh = arrival.row
    if fresh["last_failed_at"] >= row.last_failed_at:
        row.last_failed_at = fresh["last_failed_at"]
        row.error_class, row.reason, row.fingerprint = fresh["error_class"], fresh["reason"], fresh["fingerprint"]
        row.attempts, row.headers = fresh["attempts"], fresh["headers"]
    applied = False
    if arrival.failure["replay_id"] is not None:
        replay = await db.get(Replay, arrival.failure["replay_id"], with_for_update=True)
        if replay is not None and replay.dead_letter_id == row.id:
            replay.outcome = truer(_outcome(replay), Outcome.FAILED)
            applied = replay.outcome == Outcome.APPLIED
            replay.answered_at = replay.answered_at or datetime.now(UTC)
            replay.detail = f"{fresh['error_class']}: {fresh['reason']}"
    if not applied and row.state != State.EDITED:
        row.state, row.closed_at = State.OPEN, None


def _outcome(replay: Replay) -> Outcome | None:
    return None if replay.outcome is None else Outcome(replay.outcome)


def arrival(letter: Taken, now: datetime) -> Arrival:
    """What is stored of a dead letter. Nothing in it can keep it from being stored."""
    headers = cast("dict[str, Any]", plain(letter.headers))
    unrouted = letter.queue == UNROUTED
    queue = UNROUTED if unrouted else letter.queue.removesuffix(dead_letter_queue(""))
    body, raw = _texts(letter.body)
    failed_at, mark = _failed(letter, now)
    error_class, reason = _error(letter, headers, unrouted=unrouted)
    replay_id = _uuid(headers.get(REPLAY))
    redrive, message_id = headers.get(REDRIVE, 0), cast("str | None", plain(letter.message_id))
    row = {
        "id": UUID(bytes=uuid_utils.uuid7().bytes),
        "queue": queue,
        "identity": identity(message_id, redrive, letter.body),
        "service": NOBODY if unrouted else queue.partition(".")[0],
        "event": plain(letter.routing_key) if unrouted else event_of(queue),
        "message_id": message_id,
        "order_id": _order_in(body) or _correlated(letter),
        "redrive": redrive if type(redrive) is int and 0 <= redrive < 2**31 else 0,
        "body": body,
        "raw": raw,
        "size": len(letter.body),
        "properties": plain(_properties(letter)),
        "headers": headers,
        "error_class": error_class,
        "reason": reason,
        "fingerprint": fingerprint(queue, error_class, reason),
        "attempts": _count(headers.get(ATTEMPT)),
        "first_failed_at": _moment(headers.get(FIRST_FAILURE)) or failed_at,
        "last_failed_at": failed_at,
        "stored_at": now,
        "trace_id": _trace(headers.get("traceparent")),
        "state": State.OPEN,
    }
    failure = {
        "mark": f"{mark} {replay_id or ''}".strip()[:MOST_PLACES] or "-",
        "failed_at": failed_at,
        "attempts": row["attempts"],
        "error_class": error_class,
        "reason": reason,
        "replay_id": replay_id,
    }
    return Arrival(row, failure)


def restored(row: DeadLetter) -> Taken:
    """The message as it is to be sent again."""
    body = row.body.encode() if row.body is not None else row.raw or b""
    properties: dict[str, Any] = row.properties | {"timestamp": _moment(row.properties.get("timestamp"))}
    return Taken(queue=row.queue, body=body, headers=row.headers, **properties)


def _correlated(letter: Taken) -> UUID | None:
    """The order that the message is correlated with; what belongs to no order is correlated with itself."""
    return None if letter.correlation_id == letter.message_id else _uuid(letter.correlation_id)


def _properties(letter: Taken) -> dict[str, Any]:
    told = asdict(letter)
    return {name: told[name] for name in told if name not in {"queue", "body", "headers"}}


def plain(value: Any) -> Any:
    """A value as JSON in PostgreSQL can hold it: no NUL, no half characters; moments and bytes become text."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value if value == value and value not in {float("inf"), -float("inf")} else str(value)  # noqa: PLR0124
    if isinstance(value, Mapping):
        return {str(plain(str(name))): plain(inner) for name, inner in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in cast("Sequence[Any]", value)]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    text = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _texts(body: bytes) -> tuple[str | None, bytes | None]:
    """The body as text if it is JSON that can be stored and shown, else as bytes.

    NaN and half characters, which Python's own reader accepts, are none, nor is what nobody gets to the end of.
    """
    try:
        text = body.decode()
        unfit = too_deep(orjson.loads(text)) or "\x00" in text
    except ValueError:
        return None, body
    return (None, body) if unfit else (text, None)


def _order_in(body: str | None) -> UUID | None:
    """The order that a readable body names."""
    said = orjson.loads(body) if body else None
    return _uuid(cast("dict[str, Any]", said).get("order_id")) if isinstance(said, dict) else None


def _error(letter: Taken, headers: Mapping[str, Any], *, unrouted: bool) -> tuple[str, str]:
    if unrouted:
        return NOT_BOUND, f"no queue is bound for {plain(letter.routing_key)}"
    named = headers.get(ERROR_CLASS)
    if named is not None:
        return str(named), str(headers.get(ERROR_REASON, ""))
    death = _first_death(headers)
    return BROKER, f"the broker gave it up: {death.get('reason', 'unknown')} in {death.get('queue', 'a queue')}"


def _failed(letter: Taken, now: datetime) -> tuple[datetime, str]:
    """When it failed, and what tells this failure from others: the same for every delivery of it."""
    stated = letter.headers.get(LAST_FAILURE)
    moment = _moment(stated) or _moment(_first_death(letter.headers).get("time"))
    if moment is not None:
        return moment, moment.isoformat()
    return (letter.timestamp or now).astimezone(UTC), ""


def _first_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    deaths = headers.get("x-death")
    first: Any = cast("list[Any]", deaths)[0] if isinstance(deaths, list) and deaths else None
    return cast("Mapping[str, Any]", first) if isinstance(first, Mapping) else {}


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC)
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return read and read.replace(tzinfo=read.tzinfo or UTC)


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def _trace(value: object) -> str | None:
    """The trace id of a W3C traceparent."""
    parts = value.split("-") if isinstance(value, str) else []
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None  # noqa: PLR2004 - the header's form
