"""Statements that write, sent together: what a group changed costs one round trip, whatever it changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from messaging.transaction import Driver

_ARGUMENT = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Write:
    """One INSERT or UPDATE, whose first argument is `$1`."""

    table: str
    statement: str
    arguments: Sequence[Any]


async def write_all(driver: Driver, writes: Iterable[Write]) -> None:
    """Run them in their order, those to different tables in one statement.

    Parts of one statement do not see each other's rows (https://www.postgresql.org/docs/current/queries-with.html), so
    what is written to one table twice is two statements. Foreign keys are checked when a statement ends.
    """
    together: list[Write] = []
    for write in writes:
        if any(write.table == other.table for other in together):
            await _run(driver, together)
            together = []
        together.append(write)
    if together:
        await _run(driver, together)


async def _run(driver: Driver, writes: Sequence[Write]) -> None:
    statement = _as_one(tuple((write.statement, len(write.arguments)) for write in writes))
    await driver.execute(statement, *(argument for write in writes for argument in write.arguments))


@lru_cache(maxsize=256)
def _as_one(parts: Sequence[tuple[str, int]]) -> str:
    """One statement of several; the driver knows it by its text, and has it prepared."""
    numbered: list[str] = []
    before = 0
    for statement, arguments in parts:
        numbered.append(_ARGUMENT.sub(lambda found, by=before: f"${int(found[1]) + by}", statement))
        before += arguments
    *first, last = numbered
    named = ", ".join(f"written_{number} AS ({statement})" for number, statement in enumerate(first))
    return f"WITH {named} {last}" if named else last
