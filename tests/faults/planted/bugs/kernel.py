"""Bugs of the kernel: each undoes one thing that keeps an accepted order from being lost or done twice."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from messaging import edge, entry, outbox
from messaging.arrival import Arrival
from messaging.courier import RabbitCourier
from messaging.entry import Entered, Wanted
from messaging.fast_path import FastPath
from messaging.inbox import Key
from messaging.intake import SETTLE_TIME
from messaging.order_row import NEW, OrderRow
from messaging.outbox import Outgoing
from messaging.rows import mapped
from tests.faults.planted.bugs.planting import plant

LAST_ORDER = 20
"""The order at which `dies_before_committing` ends the process."""


def acknowledges_first() -> None:
    """Acknowledge a message as it comes, ahead of its effect's commit, and never after it."""

    def broken(right: Callable[..., Any]) -> Any:
        def take(self: FastPath, route: Any, slowly: Any, arrival: Arrival) -> Any:
            async def acknowledged() -> None:
                await _acknowledge(arrival.incoming)
                if rest := right(self, route, slowly, arrival):
                    await rest

            return acknowledged()

        return take

    async def nothing(*_: Any) -> None:
        return None

    plant(FastPath, "take", broken)
    plant(edge, "ack_batch", lambda _: nothing)


def publishes_before_committing() -> None:
    """Publish events while the transaction that stores them, and their cause, is still open."""
    couriers: list[RabbitCourier] = []

    def remembered(right: Callable[..., None]) -> Any:
        def made(self: RabbitCourier, *given: Any, **named: Any) -> None:
            right(self, *given, **named)
            couriers.append(self)

        return made

    async def publish(_: Any, messages: Sequence[Outgoing]) -> None:
        await couriers[-1].send(messages)

    plant(RabbitCourier, "__init__", remembered)
    _between_storing_and_committing(publish)


def dies_before_committing() -> None:
    """No bug: the process is killed ahead of a commit, as by CRASH_AT=group.commit.before, at a certain order."""
    seen: list[Outgoing] = []

    async def die(_: Any, messages: Sequence[Outgoing]) -> None:
        seen.extend(message for message in messages if message.name == "order.created")
        if len(seen) >= LAST_ORDER:
            os.kill(os.getpid(), signal.SIGKILL)

    _between_storing_and_committing(die)


def repeats_have_effects() -> None:
    """Heed neither the inbox nor the state of an order's row: a repeat is taken for a first delivery."""

    def all_fresh(right: Callable[..., Any]) -> Any:
        async def enter(driver: Any, wanted: Mapping[Key, Wanted], model: Any) -> Entered:
            entered = await right(driver, wanted, model)
            entered.fresh.update(wanted)
            missing = {each.order_id for each in wanted.values()} - {None} - entered.rows.keys()
            if missing:
                entered.rows.update(await mapped(model).lock(driver, missing))
            return entered

        return enter

    def from_new(right: Callable[..., Any]) -> Any:
        def take(self: OrderRow, lifecycle: Any, event: Any, evidence: str | None = None) -> Any:
            if not lifecycle.step(NEW, type(event), evidence).anomaly:
                self.state = NEW
            return right(self, lifecycle, event, evidence)

        return take

    plant(entry, "enter", all_fresh)
    plant(OrderRow, "take", from_new)


def marks_before_publishing() -> None:
    """Note that a message was sent as it is stored; whatever publishes it comes later, or never."""

    async def mark(transaction: Any, messages: Sequence[Outgoing]) -> None:
        await outbox.Marks(transaction.driver, [message.id for message in messages]).commit()

    _between_storing_and_committing(mark)


def _between_storing_and_committing(act: Callable[[Any, Sequence[Outgoing]], Awaitable[None]]) -> None:
    """Have this done with what a process has stored since it was last done, ahead of each commit of a group."""
    stored: list[Outgoing] = []

    def noted(right: Callable[..., Any]) -> Any:
        def append(messages: Sequence[Outgoing], grace: timedelta) -> Any:
            stored.extend(messages)
            return right(messages, grace)

        return append

    def between(right: Callable[..., Any]) -> Any:
        async def commit(transaction: Any, step: edge.Step) -> None:
            if step is edge.Step.GROUP_COMMIT:
                messages = stored[:]
                stored.clear()
                await act(transaction, messages)
            await right(transaction, step)

        return commit

    plant(outbox, "append", noted)
    plant(edge, "commit", between)


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
