"""The rows of a simulated remote end, one a key: calls that come together share a transaction.

A remote end has machines of its own; its simulator must not take the service's connections, nor most of its CPU.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from messaging.database import Database, is_unavailable
from messaging.rows import mapped
from messaging.transaction import driver_under

LONGEST_GATHERING = 0.02
"""Seconds that the next transaction gathers calls at most; it does so as long as the last one took."""
MOST_AT_ONCE = 100
"""Calls that share one transaction at most."""


class Entry(SQLModel):
    """Mixin of a ledger's table. Every other column has a default."""

    key: str = Field(primary_key=True, sa_type=Text)
    """The idempotency key under which the remote end is called."""


Row = TypeVar("Row", bound=Entry)
Answer = TypeVar("Answer")


@dataclass(eq=False, slots=True)
class _Call(Generic[Row, Answer]):
    key: str
    decide: Callable[[Row], Answer]
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Ledger(Generic[Row, Answer]):
    """Calls that come while one transaction runs share the next, so that one connection serves all of them."""

    def __init__(self, database: Database, model: type[Row]) -> None:
        self._database = database
        self._model = model
        self._blank = model(key="")
        self._rows = mapped(model)
        self._waiting: list[_Call[Row, Answer]] = []
        self._work: asyncio.Task[None] | None = None

    async def settle(self, key: str, decide: Callable[[Row], Answer]) -> Answer:
        """Let the call decide on its row, made if it is new, and locked; return its answer once that is stored.

        `decide` may run more than once; only the last run counts. Raises what it raises, and what the database raises.
        A caller that gives up does not undo the decision.
        """
        call = _Call(key, decide)
        self._waiting.append(call)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._settle_waiting(), name=f"{self._model.__name__} ledger")
        return await call.answer

    async def find(self, key: str) -> Row | None:
        """Read the row as it was last stored."""
        async with self._database.session() as db:
            return await db.get(self._model, key)

    async def _settle_waiting(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting:
            began = clock()
            calls, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            await self._settle(calls)
            if len(self._waiting) < MOST_AT_ONCE:
                await asyncio.sleep(min(clock() - began, LONGEST_GATHERING))

    async def _settle(self, calls: Sequence[_Call[Row, Answer]]) -> None:
        try:
            answers = await self._store(calls)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the answer
            if len(calls) > 1 and not is_unavailable(error):
                for call in calls:
                    await self._settle([call])  # the one that is to blame fails alone
                return
            for call in calls:
                if not call.answer.done():
                    call.answer.set_exception(error)
        else:
            for call, answer in zip(calls, answers, strict=True):
                if not call.answer.done():
                    call.answer.set_result(answer)

    async def _store(self, calls: Sequence[_Call[Row, Answer]]) -> list[Answer]:
        keys = sorted({call.key for call in calls})  # in one order everywhere: two processes may lock the same ones
        async with self._database.engine.connect() as connection:
            driver = driver_under(connection)
            async with driver.transaction():
                found = await self._rows.enter(driver, self._blank, keys)
                answers = [call.decide(found[call.key]) for call in calls]
                await self._rows.store(driver, found.values())
        return answers
