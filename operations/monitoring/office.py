"""The control room's own numbers as a source: dead letters that nobody has dealt with, and what the audit found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from sqlalchemy import text

from messaging.database import Database
from operations.monitoring import metrics
from operations.monitoring.metrics import Sample, sample
from operations.monitoring.tables import ask

_OPEN = text("SELECT service, count(*) FROM dead_letters WHERE closed_at IS NULL GROUP BY service")


async def open_dead_letters(database: Database) -> Mapping[str, int]:
    """How many there are of each service, in the control room's database."""
    return dict(await ask(database, _OPEN))


class ControlRoom:
    """Asks the control room's other parts. Without `violations`, the audit is nobody's business here."""

    name = "control-room"

    def __init__(
        self,
        services: Sequence[str],
        dead_letters: Callable[[], Awaitable[Mapping[str, int]]],
        violations: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        self._services = services
        self._dead_letters = dead_letters
        self._violations = violations

    async def read(self) -> Sequence[Sample]:
        """Count them; a service without dead letters has none."""
        counted = await self._dead_letters()
        samples = [sample(metrics.DEAD_LETTERS_OPEN, counted.get(each, 0), each) for each in self._services]
        if self._violations is not None:
            samples.append(sample(metrics.AUDIT_VIOLATIONS, await self._violations()))
        return samples
