"""Backups of one service's database, and the steps of the how-to after one was restored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

import asyncpg

from tests.docs.markdown import ROOT
from tests.machine.processes import SERVICES
from tests.machine.world import World

PAGE = ROOT / "docs" / "howto" / "back-up-and-restore.md"
_BLOCK = re.compile(r"^ *```sql\n *-- (.+?)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)

THEIRS = {"payment": "gateway_accounts", "shipping": "carrier_bookings"}
"""What the simulated remote ends remember: a real one keeps it, whatever is restored here."""

_numbers = count(1)


@dataclass
class Backups:
    """A server's databases, copied and put back. The world's service stands still meanwhile."""

    world: World
    admin_url: str
    made: list[str] = field(default_factory=list[str])

    async def back_up(self, name: str) -> tuple[str, datetime]:
        """Copy a service's database as it is now; returns the copy's name, and the moment."""
        moment = (await self.world.sql(name, "SELECT now() AS moment"))[0]["moment"]
        await self.world.stop(name)
        await self.world.hang_up(name)
        copy = await self._copy(self.world.urls[name].rpartition("/")[2])
        await self.world.start(name)
        return copy, moment

    async def restore(self, name: str, backup: str) -> None:
        """Put a backup in the place of a service's database; what is not the service's own stays as it is."""
        theirs = [] if name not in THEIRS else await self.world.sql(name, f"SELECT * FROM {THEIRS[name]}")  # noqa: S608
        await self.world.stop(name)
        await self.world.hang_up(name)
        self.world.urls[name] = f"{self.admin_url.rpartition('/')[0]}/{await self._copy(backup)}"
        if name in THEIRS:
            await self.world.sql(name, f"DELETE FROM {THEIRS[name]}")  # noqa: S608
        for row in theirs:
            values = ", ".join(f"${number}" for number in range(1, len(row) + 1))
            await self.world.sql(
                name,
                f"INSERT INTO {THEIRS[name]} ({', '.join(row)}) VALUES ({values})",  # noqa: S608
                *row.values(),
            )
        await self.world.start(name)

    async def drop(self) -> None:
        """Drop the copies."""
        for copy in self.made:
            await self._run(f'DROP DATABASE "{copy}" WITH (FORCE)')

    async def _copy(self, original: str) -> str:
        self.made.append(f"backup_{next(_numbers)}")
        await self._run(f'CREATE DATABASE "{self.made[-1]}" TEMPLATE "{original}"')
        return self.made[-1]

    async def _run(self, statement: str) -> None:
        connection: Any = await asyncpg.connect(self.admin_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def steps() -> dict[str, str]:
    """The how-to's statements, in their order, by the line that says for whom they are."""
    return dict(_BLOCK.findall(PAGE.read_text(encoding="utf-8")))


async def follow(world: World, restored: str, moment: datetime) -> None:
    """Do what the how-to says after one service's database was restored."""
    empty, *again, others = steps().values()
    if restored == "order_api":
        for name in SERVICES[1:]:
            await world.sql(name, empty)
    await world.deliver_all()
    for statement in again:
        await world.sql("order_api", statement)
        await world.sweep_deadlines()
        await world.deliver_all()
    for name in SERVICES:
        if name != restored:
            await world.sql(name, re.sub(r"'[^']*'(?=;)", f"'{moment.isoformat()}'", others))
    await world.settle()


def but(problems: Sequence[str], *excused: str) -> list[str]:
    """The problems without those that the how-to names."""
    return [problem for problem in problems if not any(re.search(excuse, problem) for excuse in excused)]
