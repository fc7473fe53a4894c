"""What was found, kept: from its first sight until it is gone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import text
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.commands import Execute
from messaging.database import Database
from operations.audit.balance import Balance
from operations.models import Violation

log = structlog.get_logger(__name__)

MOST_TOLD = 20
"""Subjects that one line of the log names."""

_ENTER = text("""
    INSERT INTO violations (kind, subject, detail, first_seen, last_seen)
    SELECT found.*, :at, :at
    FROM unnest(CAST(:kinds AS text[]), CAST(:subjects AS text[]), CAST(:details AS text[])) AS found
    ON CONFLICT (kind, subject) WHERE cleared_at IS NULL
    DO UPDATE SET last_seen = excluded.last_seen, detail = excluded.detail
    RETURNING kind, subject, xmax = 0 AS is_new
""")
_CLEAR = text("""
    UPDATE violations SET cleared_at = :at WHERE cleared_at IS NULL AND last_seen < :before RETURNING kind, subject
""")


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation, by what it is about."""

    kind: str
    subject: str


class Register:
    """The table `violations` in the control room's own database.

    Several processes may keep it: who enters one says so. One is cleared when no process has seen it for `quiet`.
    """

    def __init__(self, execute: Execute, database: Database, quiet: timedelta) -> None:
        self._execute = execute
        self._database = database
        self._quiet = quiet

    async def keep(self, balance: Balance) -> None:
        """Enter what is wrong, clear what is not any more, and log what is new in either. Raises DatabaseUnavailable.

        Nothing is cleared by an audit that has not read everything yet.
        """
        appeared: list[Finding] = []
        cleared: list[Finding] = []

        async def work(db: AsyncSession) -> Sequence[Any]:
            connection = await db.connection()
            found = balance.violations
            values = {
                "at": balance.at,
                "kinds": [each.kind for each in found],
                "subjects": [each.subject for each in found],
                "details": [each.detail for each in found],
            }
            rows = (await connection.execute(_ENTER, values)).all()
            appeared[:] = [Finding(row.kind, row.subject) for row in rows if row.is_new]
            if balance.complete:
                before = balance.at - self._quiet
                gone = (await connection.execute(_CLEAR, {"at": balance.at, "before": before})).all()
                cleared[:] = [Finding(row.kind, row.subject) for row in gone]
            return ()

        await self._execute(work)
        for kind, subjects in _by_kind(appeared).items():
            log.error("audit: violations", kind=kind, count=len(subjects), subjects=subjects[:MOST_TOLD])
        for kind, subjects in _by_kind(cleared).items():
            log.info("audit: violations cleared", kind=kind, count=len(subjects), subjects=subjects[:MOST_TOLD])

    async def counts(self) -> Mapping[str, int]:
        """How many violations are open, by kind."""
        async with self._database.session() as db:
            is_open = col(Violation.cleared_at).is_(None)
            counted = select(Violation.kind, func.count()).where(is_open).group_by(col(Violation.kind))
            return Counter(dict((await db.exec(counted)).all()))

    async def open(self) -> int:
        """How many violations are open."""
        return sum((await self.counts()).values())


def _by_kind(findings: Sequence[Finding]) -> Mapping[str, list[str]]:
    subjects: dict[str, list[str]] = {}
    for each in sorted(findings, key=lambda each: (each.kind, each.subject)):
        subjects.setdefault(each.kind, []).append(each.subject)
    return subjects
