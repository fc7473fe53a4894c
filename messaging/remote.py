"""Calls to a remote end: bounded in time, found again after silence, and not made while it is known to be away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import HALF_OPENED, OpenedState

from messaging import edge
from messaging.limits import TimeLimit
from messaging.outcome import Retry, Wait

Answer = TypeVar("Answer")


class NoAnswer(Retry):
    """The remote end gave no answer in time, and knows nothing of the request."""


class Paused(Wait):
    """Too many calls failed in a row: until the pause is over, and one call has worked, no other is made."""


class RemoteEnd(Generic[Answer]):
    """One remote end, guarded by a circuit breaker. Failures that are a `Retry` are its own; all others are ours."""

    def __init__(self, name: str, *, timeout: float, breaker_threshold: int, breaker_reset: float) -> None:
        """Durations are seconds. The breaker opens after `breaker_threshold` failures in a row."""
        self._name = name
        self._limit = TimeLimit(timeout)
        self._pause = breaker_reset
        self._breakers = AsyncCircuitBreakerFactory(breaker_threshold, breaker_reset, exclude=[(Exception, _is_ours)])

    async def ask(
        self,
        call: Callable[[], Awaitable[Answer]],
        find: Callable[[], Awaitable[Answer | None]],
        carried_out: Callable[[Answer], bool],
    ) -> Answer:
        """Return the answer to the call; after silence, what `find` finds if it shows that the call was carried out.

        Raises NoAnswer, Paused, and what the call raises.
        """
        breaker = await self._breakers.get_breaker(self._name)
        if breaker.context.state == HALF_OPENED:  # somebody is trying already; a crowd would fail with them
            raise Paused(f"the {self._name} is being tried", self._pause)
        try:
            async with breaker:
                answer = await self._made(call)
                if answer is None:
                    answer = await self._made(find)
                    if answer is None or not carried_out(answer):
                        raise NoAnswer(f"no answer from the {self._name} within {self._limit.seconds} s")
                return answer
        except OpenedState as opened:
            opened.__traceback__ = None  # the breaker raises one and the same exception: it must not collect frames
            raise Paused(f"the {self._name} failed too often", self._pause) from None

    async def _made(self, call: Callable[[], Awaitable[Answer | None]]) -> Answer | None:
        edge.crash_point(f"{edge.Step.REMOTE_CALL}.before")
        answer = await self._in_time(call)
        edge.crash_point(f"{edge.Step.REMOTE_CALL}.after")
        return answer

    async def _in_time(self, call: Callable[[], Awaitable[Answer | None]]) -> Answer | None:
        """The call's answer, or None after silence."""
        limit = self._limit.bound()
        try:
            with limit:
                return await call()
        except TimeoutError:
            if not limit.expired:
                raise  # somebody else's patience ended
            return None


def _is_ours(error: BaseException) -> bool:
    return not isinstance(error, Retry)
