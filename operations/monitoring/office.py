"""The control room's own database as a source: dead letters that nobody has dealt with, and what the audit found."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from messaging.database import Database
from operations.monitoring import metrics
from operations.monitoring.described import NOBODY
from operations.monitoring.metrics import Sample, sample
from operations.monitoring.tables import ask

_OPEN = text("SELECT service, count(*) FROM dead_letters WHERE closed_at IS NULL GROUP BY service")
_VIOLATIONS = text("SELECT count(*) FROM violations WHERE cleared_at IS NULL")


class ControlRoom:
    """Counts what waits for a person."""

    name = "control-room"

    def __init__(self, database: Database, services: Sequence[str]) -> None:
        self._database = database
        self._services = services

    async def read(self) -> Sequence[Sample]:
        """Count it; a service without dead letters has none, and events that nobody is bound to are nobody's."""
        dead_letters = dict(await ask(self._database, _OPEN))
        [(violations,)] = await ask(self._database, _VIOLATIONS)
        return [
            *(sample(metrics.DEAD_LETTERS_OPEN, dead_letters.get(each, 0), each) for each in (*self._services, NOBODY)),
            sample(metrics.AUDIT_VIOLATIONS, violations),
        ]
