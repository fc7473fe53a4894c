"""Messages that are written together: the broker's word about each of them, or why there is none."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aio_pika
import aiormq
import pytest_asyncio
from pamqp.commands import Basic

from messaging import edge
from messaging.letters import Letter
from messaging.wire import Wire
from tests.broker.proxy import Proxy, proxy_for
from tests.broker.rabbit import Broker, until

EXCHANGE = "wire"


def letter(routing_key: str, number: int) -> Letter:
    """A message with an id of its own."""
    about = (f"id-{number}", "order", "type", "text/plain", "orders", "test", datetime.now(UTC))
    return Letter(routing_key, b"x", *about, headers={})


@pytest_asyncio.fixture
async def roomy(broker: Broker) -> str:
    """An exchange without an alternative, whose messages for `roomy` have a queue, and for `full` one that refuses."""
    exchange = await broker.channel.declare_exchange(EXCHANGE)
    await (await broker.channel.declare_queue("roomy")).bind(exchange, "roomy")
    limits: dict[str, Any] = {"x-max-length": 1, "x-overflow": "reject-publish"}
    await (await broker.channel.declare_queue("full", arguments=limits)).bind(exchange, "full")
    await exchange.publish(aio_pika.Message(b"x"), "full")
    return broker.url


@asynccontextmanager
async def channel_at(url: str) -> AsyncGenerator[Any]:
    """A channel as aio-pika opens it: what is returned is raised."""
    connection = await aiormq.connect(url)
    try:
        yield await connection.channel(on_return_raises=True)
    finally:
        await connection.close()


async def said_of(channel: Any, *letters: Letter, timeout: float = 20) -> list[Any]:  # noqa: ASYNC109 - is passed on
    """What the broker says of these."""

    async def present() -> Any:
        return channel

    return await edge.publish_batch(Wire(EXCHANGE, present), letters, edge.Step.EVENT_PUBLISH, timeout)


def left_of(channel: Any) -> int:
    """How many messages aiormq keeps in mind."""
    return len(channel.confirmations) + len(channel.message_id_delivery_tag)


async def test_each_message_has_a_word_of_its_own(roomy: str) -> None:
    """One that is returned and one that is refused leave those beside them alone; nothing of them is kept."""
    async with channel_at(roomy) as channel:
        keys = ("roomy", "nowhere", "full", *["roomy"] * 97)
        said = await said_of(channel, *(letter(key, number) for number, key in enumerate(keys)))
        assert [number for number, word in enumerate(said) if not isinstance(word, Basic.Ack)] == [1, 2]
        assert isinstance(said[1], edge.PublishFailed)
        assert "NO_ROUTE" in str(said[1])
        assert isinstance(said[2], edge.PublishFailed)
        assert "Nack" in str(said[2])
        assert left_of(channel) == 0


async def test_what_cannot_be_written_takes_no_number(roomy: str) -> None:
    """Confirms are by number, and the broker counts only what it was sent."""
    async with channel_at(roomy) as channel:
        failed = await said_of(channel, letter("roomy", 1), letter("k" * 300, 2))
        assert [type(word) for word in failed] == [edge.PublishFailed] * 2
        assert left_of(channel) == 0
        assert isinstance((await said_of(channel, letter("roomy", 1)))[0], Basic.Ack)


@pytest_asyncio.fixture
async def proxy(roomy: str) -> AsyncGenerator[Proxy]:
    """Something between a publisher and the broker."""
    async with proxy_for(roomy) as between:
        yield between


async def test_silence_is_told_from_loss(roomy: str, proxy: Proxy) -> None:
    """A broker that says nothing may say it later; of a connection that is lost nothing more will be heard."""
    async with channel_at(proxy.url(roomy)) as channel:
        proxy.hush()
        assert [type(word) for word in await said_of(channel, letter("roomy", 1), timeout=0.05)] == [edge.Unanswered]
        proxy.before_reply = lambda _: True
        proxy.speak()
        said = await said_of(channel, letter("roomy", 2))
        assert [type(word) for word in said] == [edge.PublishFailed]


async def test_a_late_word_harms_nobody(roomy: str, proxy: Proxy) -> None:
    """What the broker says after the wait was over is taken note of, and the next messages have theirs."""
    async with channel_at(proxy.url(roomy)) as channel:
        proxy.hush()
        await said_of(channel, letter("roomy", 1), letter("roomy", 2), timeout=0.05)
        proxy.speak()
        assert isinstance((await said_of(channel, letter("roomy", 3)))[0], Basic.Ack)
        await until(lambda: _nothing_left(channel))


async def _nothing_left(channel: Any) -> bool:
    return left_of(channel) == 0
