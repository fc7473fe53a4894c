"""A machine that does to the services whatever can happen, in any order, and then looks whether all is well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar
from uuid import UUID, uuid5

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts import StockReceived
from order_api.domain import FINAL
from tests.machine.checks import Placed, problems
from tests.machine.network import Letter, redelivered
from tests.machine.processes import SERVICES
from tests.machine.world import PATIENCE, World

T = TypeVar("T")

MOST_ORDERS = 5
CARDS = ["tok_ok"] * 7 + ["tok_declined", "tok_flaky", "tok_timeout", "tok_down"] + ["tok_capture_refused"] * 2
SKUS = ["MUG-01"] * 3 + ["RARE-01"] * 3 + ["SOLD-01"]
CITIES = ["Berlin"] * 8 + ["Flaky", "Down"]
POSTAL_CODES = ["10115"] * 5 + ["00000"]
DEATHS = [
    "prepare.before",
    "prepare.after",
    "group.commit.before",
    "group.commit.after",
    "event.publish.before",
    "event.publish.after",
    "message.ack.before",
    "message.ack.after",
    "suspect.commit.after",
]
"""Crash points that a service passes while it handles a message."""
COMMAND_DEATHS = ["group.commit.before", "group.commit.after", "event.publish.before", "event.publish.after"]

PICK = st.integers(0, 255)
PICKS = st.lists(PICK, min_size=2, max_size=6)
WISHES = st.builds(
    Placed,
    sku=st.sampled_from(SKUS),
    pieces=st.integers(1, 2),
    card=st.sampled_from(CARDS),
    city=st.sampled_from(CITIES),
    postal_code=st.sampled_from(POSTAL_CODES),
)


class Machine(RuleBasedStateMachine):
    """One example: some steps, in any order, and the end of every order.

    A rule that finds nothing to do does nothing: what hypothesis draws must not depend on who was quicker.
    """

    def __init__(self, runner: asyncio.Runner, world: World, complaints: list[str]) -> None:
        super().__init__()
        self._complaints = complaints
        self._runner = runner
        self.world = world
        self.placed: dict[UUID, Placed] = {}
        self.final: dict[str, str] = {}
        self.lost: list[Letter] = []
        self.goods = 0
        self._run(world.reset())

    @initialize(wishes=st.lists(WISHES, min_size=1, max_size=3))
    def open_the_shop(self, wishes: list[Placed]) -> None:
        """Place the first orders."""
        for wish in wishes:
            self.place(wish)

    @rule(wish=WISHES)
    def place_order(self, wish: Placed) -> None:
        """Place another one."""
        self.place(wish)

    @rule(wish=WISHES, point=st.sampled_from(COMMAND_DEATHS))
    def place_and_die(self, wish: Placed, point: str) -> None:
        """Place an order with a process that dies meanwhile: nobody knows whether it was accepted."""
        if len(self.placed) >= MOST_ORDERS:
            return
        self._run(self.world.crash("order_api", point, [lambda: self.world.place(wish.body)]))
        stored = self._run(self.world.sql("order_api", "SELECT order_id FROM orders"))
        self.placed.update({row["order_id"]: wish for row in stored if row["order_id"] not in self.placed})

    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        """Ask for an order's cancellation, wherever it stands."""
        for order_id in self._order(pick):
            self._run(self.world.cancel(order_id))

    @rule(pick=PICK)
    def deliver(self, pick: int) -> None:
        """Deliver any letter: in any order."""
        self._run(self.world.deliver(self._letters([pick])))

    @rule(picks=PICKS)
    def deliver_together(self, picks: list[int]) -> None:
        """Deliver several letters at the same time, to several processes, which make groups of them."""
        self._run(self.world.deliver(self._letters(picks)))

    @rule(pick=PICK)
    def deliver_twice(self, pick: int) -> None:
        """Deliver a letter and its copy at the same time: to two processes, and in one group."""
        for letter in self._letters([pick]):
            self._run(self.world.deliver([letter, redelivered(letter), letter]))

    @rule(pick=PICK)
    def deliver_and_keep(self, pick: int) -> None:
        """Deliver a letter whose acknowledgement is lost."""
        for letter in self._letters([pick]):
            self._run(self.world.deliver([letter]))
            self.world.network.bag.append(redelivered(letter))

    @rule(picks=PICKS, point=st.sampled_from(DEATHS))
    def deliver_and_die(self, picks: list[int], point: str) -> None:
        """Deliver letters to a process that dies when it passes the point."""
        letters = self._letters(picks)
        of_one = [letter for letter in letters if letter.service == letters[0].service]
        self.world.network.bag += [letter for letter in letters if letter.service != letters[0].service]
        if of_one:
            self._run(self.world.crash_delivering(of_one, point))

    @rule(pick=PICK)
    def lose(self, pick: int) -> None:
        """Lose a letter for good, as with a broker that was wiped."""
        self.lost += self._letters([pick])

    @rule(picks=PICKS)
    def replay(self, picks: list[int]) -> None:
        """Repeat letters of any age after the inbox forgot them."""
        for letter in [self.world.network.past(pick) for pick in picks if self.world.network.history]:
            self._run(self.world.forget(letter.service))
            self.world.network.bag.append(letter)

    @rule(pick=PICK)
    def redrive(self, pick: int) -> None:
        """Say an order again by hand, whatever became of it."""
        self._run(self.world.redrive(self._order(pick)))

    @rule()
    def pass_the_deadline(self) -> None:
        """Let every order that is not settled be overdue."""
        self._run(self.world.sweep_deadlines())

    @rule()
    def expire(self) -> None:
        """Let the holds on all cards lapse."""
        self._run(self.world.expire())

    @rule()
    def pay_in(self) -> None:
        """Let cards that refused the capture have cover from now on."""
        self._run(
            self.world.sql(
                "payment", "UPDATE gateway_accounts SET token = 'tok_ok' WHERE token = 'tok_capture_refused'"
            )
        )

    @rule(pieces=st.integers(1, 3))
    def receive(self, pieces: int) -> None:
        """Let goods arrive."""
        self.goods += 1
        example = StockReceived.example()
        changes = {"event_id": uuid5(example.event_id, str(self.goods)), "sku": "RARE-01", "quantity": pieces}
        self._run(self.world.receive(example.model_copy(update=changes)))

    @rule(name=st.sampled_from(SERVICES))
    def restart(self, name: str) -> None:
        """Stop a process and start it again."""
        self._run(self.world.restart(name))

    @rule(name=st.sampled_from(SERVICES))
    def relay(self, name: str) -> None:
        """Let the relay sweep a service's outbox; what it repeats is harmless."""
        self._run(self.world.sweep_outbox(name))

    @rule()
    def undo(self) -> None:
        """Let shipping undo what it must."""
        self._run(self.world.undo())

    @invariant()
    def final_is_final(self) -> None:
        """A status that is final never changes."""
        rows = self._run(self.world.sql("order_api", "SELECT order_id::text, state FROM orders"))
        now = {row["order_id"]: row["state"] for row in rows}
        self._complain(
            [f"{key} was {was}, is {now.get(key)}" for key, was in self.final.items() if now.get(key) != was]
        )
        self.final = {order_id: status for order_id, status in now.items() if status in FINAL}

    def teardown(self) -> None:
        """Deliver everything, say again what is not settled, and look at the books."""
        self._run(self.world.settle())
        self.final_is_final()
        self._complain(self._run(problems(self.world, self.placed, lost=bool(self.lost), letters=self.lost)))

    def place(self, wish: Placed) -> None:
        """Place an order, unless there are enough."""
        if len(self.placed) >= MOST_ORDERS:
            return
        self.placed[self._run(self.world.place(wish.body))] = wish

    def _run(self, work: Awaitable[T]) -> T:
        """Run to the end, which comes soon or is a failure of its own."""

        async def bounded() -> T:
            async with asyncio.timeout(PATIENCE):
                return await work

        return self._runner.run(bounded())

    def _complain(self, found: list[str]) -> None:
        self._complaints += found
        assert not found, "\n".join(found)

    def _order(self, pick: int) -> list[UUID]:
        """One of the orders, if there is any."""
        ids = list(self.placed)
        return ids[pick % len(ids) :][:1] if ids else []

    def _letters(self, picks: list[int]) -> list[Letter]:
        return [self.world.network.take(pick) for pick in picks[: len(self.world.network.bag)]]
