"""The four real services on four real databases, two processes' worth of each, without a broker between them.

Nothing moves unless the test says so: what a service says lies in the network's bag until it is delivered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import asyncpg
from faststream.rabbit import TestRabbitBroker
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

import inventory.seed
import order_api.seed
from contracts import StockReceived
from messaging import edge, intake
from messaging.outcome import Again
from messaging.relay import MARK_DELAY, Marker, Relay
from messaging.service import Service
from order_api import clock
from order_api.app import open_shop
from order_api.deadlines import Deadlines
from order_api.facts import Facts
from order_api.models import WITH_FACTS, Order
from order_api.schemas import PlaceOrder
from rest.callers import Caller, Scope
from shipping.gateway import Carrier
from shipping.simulator import SimulatedCarrier
from shipping.undo import UndoWorker
from tests.machine.network import BagCourier, Letter, Network, redelivered
from tests.machine.processes import (
    AT_ONCE,
    NEVER,
    PATIENT,
    PROCESS,
    REDRIVES_BEFORE_CANCEL,
    REPLICAS,
    SERVICES,
    STOCK,
    Killer,
    Node,
    build,
    ledgers,
    order_api_settings,
)

_ROW_TABLES = {
    "order_api": ("facts", "orders"),
    "payment": ("payments", "gateway_accounts"),
    "inventory": ("reservations", "stock_receipts"),
    "shipping": ("shipments", "carrier_bookings"),
}
STOREFRONT = Caller("storefront", "0123456789ab", frozenset(Scope))
PATIENCE = 60.0
"""Seconds after which whatever does not end has failed."""
_NO_TRIGGERS = "SET session_replication_role = replica"
"""A superuser may rewrite what nobody else may."""
MOST_LOOKS = 50
KERNEL_TABLES = ("inbox", "outbox", "suspects")


@dataclass(eq=False)
class World:
    """The services, the network, and everything that can happen to them."""

    urls: dict[str, str]
    network: Network
    killer: Killer = field(default_factory=Killer)
    nodes: dict[str, list[Node]] = field(default_factory=dict[str, list[Node]])
    connections: dict[str, Any] = field(default_factory=dict[str, Any])
    """Those of the test itself."""

    @classmethod
    @asynccontextmanager
    async def opened(cls, urls: Mapping[str, str]) -> AsyncGenerator[World]:
        """Start every service on these databases, which hold nothing but their schema."""
        queues = [queue for name in SERVICES for queue in build(name, "").routes]
        world = cls(dict(urls), Network(queues))
        with (
            patch.object(edge, "crash_point", world.killer.pass_point),
            patch.object(intake, "SETTLE_TIME", 0),  # there is no broker to be waited for
        ):
            for name in SERVICES:
                await world.start(name)
            await order_api.seed.seed(world.shop.database, order_api.seed.listings())
            await inventory.seed.seed(world.nodes["inventory"][0].service.database, STOCK)
            try:
                yield world
            finally:
                for name in SERVICES:
                    await world.stop(name)
                    await world.hang_up(name)

    @property
    def shop(self) -> Service:
        """The order API."""
        return self.nodes["order_api"][0].service

    async def start(self, name: str) -> None:
        """Start a service's processes."""
        self.nodes[name] = [await self._node(name) for _ in range(REPLICAS)]

    async def stop(self, name: str) -> None:
        """Stop a service's processes."""
        for node in self.nodes.pop(name, []):
            await node.stack.aclose()

    async def restart(self, name: str, replica: int = 0) -> None:
        """End one process of a service, and start it again with nothing but its database."""
        await ledgers()
        await self.nodes[name][replica].stack.aclose()
        self.nodes[name][replica] = await self._node(name)

    async def _node(self, name: str) -> Node:
        service, stack = build(name, self.urls[name]), AsyncExitStack()
        process = object()
        before = PROCESS.set(process)
        try:
            await stack.enter_async_context(service.running(BagCourier(self.network)))
        finally:
            PROCESS.reset(before)
        await stack.enter_async_context(TestRabbitBroker(service.broker))
        return Node(service, stack, process)

    async def reset(self) -> None:
        """As new: no order was ever placed."""
        self.network.clear()
        for name, tables in _ROW_TABLES.items():
            deletes = [f"DELETE FROM {table}" for table in (*tables, *KERNEL_TABLES)]  # noqa: S608
            await self.sql(name, ";".join([_NO_TRIGGERS, *deletes, "RESET session_replication_role"]))
        await self.sql("inventory", "UPDATE stock SET on_hand = initial, reserved = 0, received = 0, shipped = 0", *())

    async def sql(self, name: str, statements: str, *values: Any) -> list[dict[str, Any]]:
        """Ask, or change, a service's database by hand."""
        if name not in self.connections:
            self.connections[name] = await asyncpg.connect(self.urls[name])
        if not values and ";" in statements:
            await self.connections[name].execute(statements)
            return []
        return [dict(row) for row in await self.connections[name].fetch(statements, *values)]

    async def hang_up(self, name: str) -> None:
        """Close the test's own connection to a service's database."""
        if name in self.connections:
            await self.connections.pop(name).close()

    # What people do

    async def place(self, wish: Mapping[str, Any]) -> UUID:
        """Place an order."""
        shop, settings = self.shop, order_api_settings("")
        answer = await open_shop(shop, settings).place(PlaceOrder.model_validate(wish), STOREFRONT)
        await shop.sent()
        return answer.body.order_id

    async def cancel(self, order_id: UUID) -> None:
        """Ask for an order's cancellation."""
        shop, settings = self.shop, order_api_settings("")
        await open_shop(shop, settings).cancel(order_id, STOREFRONT)
        await shop.sent()

    async def receive(self, event: StockReceived) -> None:
        """Say that goods arrived."""

        async def say(_: AsyncSession) -> Sequence[StockReceived]:
            return (event,)

        await self.shop.execute(say)
        await self.shop.sent()

    async def sweep_deadlines(self) -> int:
        """Let the order API say overdue orders again: every one that is not settled. Returns how many."""
        found = await Deadlines(self.shop.execute, order_api_settings("").patience, NEVER).sweep()
        await self.shop.sent()
        return found

    async def redrive(self, order_ids: Collection[UUID] | None = None) -> None:
        """Say orders again by hand, whatever became of them; all, if none are named. None is given up for that."""
        patience = replace(order_api_settings("").patience, redrives=10**6)

        async def again(db: AsyncSession) -> Sequence[Again]:
            wanted = select(Order).options(WITH_FACTS).order_by(col(Order.order_id)).with_for_update()
            if order_ids is not None:
                wanted = wanted.where(col(Order.order_id).in_(order_ids))
            found = await db.exec(wanted.execution_options(populate_existing=True))
            now, facts = await clock.now(db), Facts.of(db)
            return [said for order in found for said in order.redrive(now, patience, facts)]

        await self.shop.execute(again)
        await self.shop.sent()

    # What the network does

    async def deliver(self, letters: Sequence[Letter]) -> None:
        """Deliver letters all at the same time, spread over the processes; what is not acknowledged comes again."""
        await asyncio.gather(*(self._deliver(letter, turn) for turn, letter in enumerate(letters)))

    async def _deliver(self, letter: Letter, turn: int) -> None:
        nodes = self.nodes[letter.service]
        if not await nodes[turn % len(nodes)].deliver(letter):
            self.network.bag.append(redelivered(letter))

    async def sweep_outbox(self, name: str) -> int:
        """Let a relay send what a service's outbox still holds; returns how many messages. Marks may be missing yet."""
        service = self.nodes[name][0].service
        marker = Marker(service.database)
        relay = Relay(
            service.database,
            BagCourier(self.network),
            marker,
            interval=NEVER,
            in_flight=lambda: (),
            can_send=lambda: True,
        )
        sent = await relay.sweep()
        await marker.flush()
        return sent

    async def undo(self) -> int:
        """Let shipping cancel the parcels that were booked for cancelled orders; returns how many."""
        service = self.nodes["shipping"][0].service
        carrier = Carrier(
            SimulatedCarrier(service.database, 0), PATIENT, breaker_threshold=10**6, breaker_reset=AT_ONCE
        )
        return await UndoWorker(service.database, service.execute, carrier, NEVER).work()

    # What fate does

    async def crash(self, name: str, point: str, work: Sequence[Callable[[], Awaitable[object]]]) -> bool:
        """Do work at the same time in the first process of a service, which dies when it passes a crash point.

        Returns whether it came to that.
        """
        process = self.nodes[name][0].process
        self.killer.arm(point, process)
        tasks = [asyncio.ensure_future(_in_process(process, each)) for each in work]
        strike = asyncio.create_task(self.killer.struck.wait())
        everything = asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait({strike, everything}, return_when=asyncio.FIRST_COMPLETED)
        struck = self.killer.struck.is_set()
        for task in (*tasks, strike):
            task.cancel()
        outcomes = await asyncio.gather(everything, strike, return_exceptions=True)
        self.killer.arm(None)
        await self.restart(name)
        if not struck:
            for outcome in outcomes[0] if isinstance(outcomes[0], list) else ():
                if isinstance(outcome, BaseException):
                    raise outcome
        return struck

    async def crash_delivering(self, letters: Sequence[Letter], point: str) -> bool:
        """Deliver letters, of one service, to a process that dies at that point; those not acknowledged come again."""
        node = self.nodes[letters[0].service][0]
        acked: set[int] = set()

        def delivering(index: int, letter: Letter) -> Callable[[], Awaitable[object]]:
            async def deliver() -> None:
                if await node.deliver(letter):
                    acked.add(index)

            return deliver

        struck = await self.crash(
            letters[0].service, point, [delivering(index, letter) for index, letter in enumerate(letters)]
        )
        self.network.bag += [redelivered(letter) for index, letter in enumerate(letters) if index not in acked]
        return struck

    async def expire(self) -> None:
        """Let every hold at the card gateway lapse."""
        await self.sql("payment", "UPDATE gateway_accounts SET status = 'expired' WHERE status = 'held'")

    async def forget(self, name: str) -> None:
        """Empty a service's inbox, as pruning does in the end."""
        await self.sql(name, "DELETE FROM inbox")

    # Until nothing moves

    async def deliver_all(self) -> None:
        """Deliver whatever is on its way, and whatever follows from it, until nothing is."""
        while True:
            await self._marked()
            sent = 0
            for name in SERVICES:
                await self.sql(
                    name, "UPDATE outbox SET due_at = now() WHERE sent_at IS NULL"
                )  # no lease lasts for ever
                sent += await self.sweep_outbox(name)
            undone = await self.undo()
            if not (self.network.bag or sent or undone):
                return
            while self.network.bag:
                letters, self.network.bag = self.network.bag, []
                await self.deliver(letters)

    async def _marked(self) -> None:
        """Wait a little while for the marks of what was sent."""
        for _ in range(MOST_LOOKS):
            unsent = [await self.sql(name, "SELECT FROM outbox WHERE sent_at IS NULL LIMIT 1") for name in SERVICES]
            if not any(unsent):
                return
            await asyncio.sleep(MARK_DELAY)

    async def unsettled(self) -> list[str]:
        """Orders that are said again for ever, but for those that are ready and whose card refuses the capture."""
        watched = await self.sql("order_api", "SELECT order_id::text FROM orders WHERE next_deadline IS NOT NULL")
        shipped = await self.sql("order_api", "SELECT order_id::text FROM facts WHERE name = 'inventory.shipped'")
        refused = await self.sql("payment", "SELECT key AS order_id FROM gateway_accounts WHERE status = 'unpaid'")
        waiting, gone, unpaid = ({row["order_id"] for row in rows} for rows in (watched, shipped, refused))
        return sorted(waiting - (gone & unpaid))

    async def settle(self, redrives: int = 2 * REDRIVES_BEFORE_CANCEL) -> None:
        """Deliver everything; say again what is not settled, at most so often."""
        await self.deliver_all()
        for _ in range(redrives):
            if not await self.unsettled():
                return
            await self.sweep_deadlines()
            await self.deliver_all()


async def _in_process(process: object, work: Callable[[], Awaitable[object]]) -> object:
    PROCESS.set(process)  # for the task that this is
    return await work()
