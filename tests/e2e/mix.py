"""Five hundred different orders, the same for the same seed, and clients that place them at once."""

import asyncio
import contextlib
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.e2e.shop import Indeterminate, Shop, Wish, wish
from tests.invariants.expectations import Ending

SEED = int(os.environ.get("E2E_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
"""Printed by each test that uses it; E2E_SEED replays a run."""
CLIENTS = 20

_PLENTY = ("MUG-01", "TEE-01", "CAP-01", "BAG-01", "PEN-01")
SCARCE = "RARE-01"
"""Three pieces, wanted by many: who gets one is a race."""
SOLD_OUT = "SOLD-01"


def mixed(count: int, seed: int) -> list[Wish]:
    """So many orders: good ones of one and of many lines, and each way in which one can go wrong."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    weights = {
        _good: 50,
        _many_lines: 14,
        _yen: 4,
        _declined: 8,
        _sold_out: 6,
        _undeliverable: 6,
        _flaky_card: 4,
        _flaky_carrier: 3,
        _cancelled: 6,
        _scarce: 2,
        _capture_refused: 2,
        _silent_gateway: 1,
    }
    kinds = dice.choices(list(weights), list(weights.values()), k=count)
    return [kind(dice) for kind in kinds]


async def place_all(shop: Shop, wishes: Sequence[Wish], seed: int) -> Mapping[str, Ending]:
    """Place them from CLIENTS concurrent clients; returns each accepted order and how it is to end."""
    print(f"E2E_SEED={seed}")  # noqa: T201 - shown when the test fails
    waiting = list(reversed(wishes))
    accepted: dict[str, Ending] = {}

    async def client() -> None:
        while waiting:
            wanted = waiting.pop()
            try:
                order_id = await shop.place(wanted)
            except Indeterminate:  # whatever became of it: what is stored must end
                continue
            accepted[order_id] = wanted.ending
            if wanted.cancel_after is not None:
                await asyncio.sleep(wanted.cancel_after)
                with contextlib.suppress(Indeterminate):  # it may end either way in any case
                    await shop.cancel(order_id)

    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(client())
    assert len(accepted) >= 0.95 * len(wishes), f"only {len(accepted)} of {len(wishes)} orders were accepted"
    return accepted


def _good(dice: random.Random) -> Wish:
    return wish(Ending.READY, {dice.choice(_PLENTY): dice.randint(1, 5)})


def _many_lines(dice: random.Random) -> Wish:
    return wish(Ending.READY, {sku: dice.randint(1, 9) for sku in dice.sample(_PLENTY, k=dice.randint(2, 5))})


def _yen(dice: random.Random) -> Wish:
    return wish(Ending.READY, {"BENTO-01": dice.randint(1, 3)}, currency="JPY")


def _declined(dice: random.Random) -> Wish:
    return wish(Ending.REJECTED, token=dice.choice(["tok_declined", "tok_insufficient_funds", "tok_unheard_of"]))


def _sold_out(dice: random.Random) -> Wish:
    """One line that cannot be had among others that can: all or nothing."""
    others = {sku: dice.randint(1, 9) for sku in dice.sample(_PLENTY, k=dice.randint(0, 3))}
    return wish(Ending.CANCELLED, {**others, SOLD_OUT: 1})


def _undeliverable(dice: random.Random) -> Wish:
    return wish(Ending.CANCELLED, {dice.choice(_PLENTY): dice.randint(1, 5)}, postal_code="00000")


def _cancelled(dice: random.Random) -> Wish:
    """Cancelled somewhere on its way, or too late: a race."""
    wanted = wish(Ending.ANY, {dice.choice(_PLENTY): dice.randint(1, 5)}, token=dice.choice(["tok_ok", "tok_flaky"]))
    return replace(wanted, cancel_after=dice.uniform(0, 0.3))


def _flaky_card(_: random.Random) -> Wish:
    return wish(Ending.READY, token="tok_flaky")


def _flaky_carrier(_: random.Random) -> Wish:
    return wish(Ending.READY, city="Flaky")


def _scarce(_: random.Random) -> Wish:
    return wish(Ending.ANY, {SCARCE: 1})


def _capture_refused(_: random.Random) -> Wish:
    return wish(Ending.OVERDUE, token="tok_capture_refused")


def _silent_gateway(_: random.Random) -> Wish:
    return wish(Ending.READY, token="tok_timeout")
