"""Work that no message asks for: a request, a background task. It runs in a transaction that others may share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sqlmodel.ext.asyncio.session import AsyncSession

from contracts.event import Event
from messaging.outcome import Again

T = TypeVar("T")

Work = Callable[[AsyncSession], Awaitable[Sequence[Event | Again]]]
"""Changes rows and returns what is to be said. It may run more than once; only the last time counts."""

Execute = Callable[[Work], Awaitable[None]]
"""Runs work and returns once it is committed; `messaging.service.Service.execute` is one."""


async def answer_of(execute: Execute, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """Run work that says nothing, and return what it returns once that is committed."""
    answers: list[T] = []

    async def run(db: AsyncSession) -> Sequence[Event]:
        answers[:] = [await work(db)]
        return ()

    await execute(run)
    return answers[0]
