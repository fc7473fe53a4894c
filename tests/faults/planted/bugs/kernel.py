"""Bugs of the kernel: each undoes one thing that keeps an accepted order from being lost or done twice."""

import asyncio
import os
import signal
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

from messaging import edge, inbox, outbox
from messaging.courier import RabbitCourier
from messaging.fast_path import FastPath
from messaging.intake import SETTLE_TIME
from messaging.order_row import NEW, OrderRow
from messaging.outbox import Outgoing
from tests.faults.planted.bugs.planting import plant

LAST_ORDER = 20
"""The order at which `dies_before_committing` ends the process."""


def acknowledges_first() -> None:
    """Acknowledge a message as it comes, ahead of its effect's commit, and never after it."""

    def broken(right: Callable[..., Any]) -> Any:
        def consumer(self: FastPath, *given: Any) -> Any:
            consume = right(self, *given)

            async def early(raw: Any) -> Any:
                await _acknowledge(raw)
                return await consume(raw)

            return early

        return consumer

    async def nothing(*_: Any) -> None:
        return None

    plant(FastPath, "consumer", broken)
    plant(edge, "ack_batch", lambda _: nothing)


def publishes_before_committing() -> None:
    """Publish events while the transaction that stores them, and their cause, is still open."""
    couriers: list[RabbitCourier] = []

    def remembered(right: Callable[..., None]) -> Any:
        def made(self: RabbitCourier, *given: Any, **named: Any) -> None:
            right(self, *given, **named)
            couriers.append(self)

        return made

    def broken(right: Callable[..., Any]) -> Any:
        async def append(db: Any, messages: Sequence[Outgoing], grace: timedelta) -> None:
            await right(db, messages, grace)
            await couriers[-1].send(messages)

        return append

    plant(RabbitCourier, "__init__", remembered)
    plant(outbox, "append", broken)


def dies_before_committing() -> None:
    """No bug: the process is killed ahead of a commit, as by CRASH_AT=group.commit.before, at a certain order."""
    seen: list[Outgoing] = []

    def counted(right: Callable[..., Any]) -> Any:
        async def append(db: Any, messages: Sequence[Outgoing], grace: timedelta) -> None:
            await right(db, messages, grace)
            seen.extend(message for message in messages if message.name == "order.created")

        return append

    def deadly(right: Callable[..., Any]) -> Any:
        async def commit(session: Any, step: edge.Step) -> None:
            if step is edge.Step.GROUP_COMMIT and len(seen) >= LAST_ORDER:
                os.kill(os.getpid(), signal.SIGKILL)
            await right(session, step)

        return commit

    plant(outbox, "append", counted)
    plant(edge, "commit", deadly)


def repeats_have_effects() -> None:
    """Heed neither the inbox nor the state of an order's row: a repeat is taken for a first delivery."""

    def all_fresh(right: Callable[..., Any]) -> Any:
        async def claim(db: Any, keys: Collection[inbox.Key]) -> set[inbox.Key]:
            await right(db, keys)
            return set(keys)

        return claim

    def from_new(right: Callable[..., Any]) -> Any:
        def take(self: OrderRow, lifecycle: Any, event: Any, evidence: str | None = None) -> Any:
            if not lifecycle.step(NEW, type(event), evidence).anomaly:
                self.state = NEW
            return right(self, lifecycle, event, evidence)

        return take

    plant(inbox, "claim", all_fresh)
    plant(OrderRow, "take", from_new)


def marks_before_publishing() -> None:
    """Note that a message was sent as it is stored; whatever publishes it comes later, or never."""

    def broken(right: Callable[..., Any]) -> Any:
        async def append(db: Any, messages: Sequence[Outgoing], grace: timedelta) -> None:
            await right(db, messages, grace)
            await outbox.mark_sent(db, [message.id for message in messages])

        return append

    plant(outbox, "append", broken)


def acknowledges_before_retrying() -> None:
    """Acknowledge a failed message before the tier has it."""

    def broken(right: Callable[..., Any]) -> Any:
        async def retry(self: RabbitCourier, message: Any, *given: Any) -> None:
            await _acknowledge(message)
            await right(self, message, *given)

        return retry

    plant(RabbitCourier, "retry", broken)


def drops_dead_letters() -> None:
    """Say that a message was parked, and park nothing."""

    def broken(_: Callable[..., Any]) -> Any:
        async def park(*_: Any) -> None:
            return None

        return park

    plant(RabbitCourier, "park", broken)


async def _acknowledge(message: Any) -> None:
    """So that the broker has applied it when the process dies: it forgets acks that are on their way then."""
    await message.ack()
    await asyncio.sleep(SETTLE_TIME)
