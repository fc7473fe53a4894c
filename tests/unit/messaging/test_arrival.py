"""Deliveries that are all here go straight to consumers made by `as_it_arrives`."""

import asyncio
from functools import partial
from typing import Any

import aio_pika.queue
from aiormq.channel import Channel
from pamqp.header import ContentHeader
from structlog.testing import capture_logs

from messaging.arrival import Arrival, as_it_arrives
from messaging.frames import Delivery


class Consuming:
    """What there is of a channel here: its consumers, and the tasks that it was asked for."""

    is_closed = False

    def __init__(self, **consumers: Any) -> None:
        self.consumers = {tag: partial(aio_pika.queue.consumer, each, no_ack=False) for tag, each in consumers.items()}
        self.tasks: list[asyncio.Task[Any]] = []

    def create_task(self, work: Any) -> asyncio.Task[Any]:
        """As a channel does, and remember it."""
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    def _on_consumer_done(self, _: object) -> None: ...

    async def deliver(self, tag: str) -> None:
        """Let a delivery come, whole."""
        delivery = Delivery(tag, 7, routing_key="k")
        delivery.header, delivery.body = ContentHeader(body_size=2), b"{}"
        await Channel._on_deliver_frame(self, delivery)  # type: ignore[arg-type]  # noqa: SLF001


async def test_a_delivery_is_taken_in_the_turn_in_which_it_is_read() -> None:
    """No task is made for it, unless something is left to do."""
    taken: list[Arrival] = []
    slow = asyncio.Event()
    channel = Consuming(
        quick=as_it_arrives(taken.append),
        slow=as_it_arrives(lambda _: slow.wait()),  # type: ignore[arg-type]
    )
    await channel.deliver("quick")
    assert [(arrival.body, arrival.delivery_tag) for arrival in taken] == [(b"{}", 7)]
    assert not channel.tasks
    await channel.deliver("slow")
    assert [task.done() for task in channel.tasks] == [False]
    slow.set()
    await asyncio.gather(*channel.tasks)


async def test_what_a_consumer_raises_costs_no_channel() -> None:
    """It is logged; the message stays unacknowledged, and the next one is taken."""

    def broken(_: Arrival) -> None:
        raise RuntimeError("a bug")

    channel = Consuming(broken=as_it_arrives(broken))
    with capture_logs() as lines:
        await channel.deliver("broken")
    assert [line["event"] for line in lines] == ["a delivery was not taken"]


async def test_a_cancelled_consumer_takes_nothing() -> None:
    """As with aiormq."""
    channel = Consuming()
    await channel.deliver("gone")
    assert not channel.tasks


async def test_other_consumers_get_what_aio_pika_makes_of_it() -> None:
    """In a task, as before."""
    taken: list[bytes] = []

    async def consume(message: aio_pika.IncomingMessage) -> None:
        taken.append(message.body)

    channel = Consuming(other=consume)
    await channel.deliver("other")
    await asyncio.gather(*channel.tasks)
    assert taken == [b"{}"]
