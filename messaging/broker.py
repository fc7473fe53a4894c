"""FastStream's RabbitBroker on two connections, one consumes, one publishes; each goes on at another node of a cluster.

Under a memory or disk alarm RabbitMQ blocks every connection that publishes
(https://www.rabbitmq.com/docs/connection-blocked). A consumer on the same connection could no longer acknowledge.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any, cast

import aiormq.connection
import structlog
from aio_pika import RobustConnection, connect_robust
from faststream.rabbit import Channel, RabbitBroker
from faststream.rabbit.helpers.channel_manager import ChannelManagerImpl
from faststream.rabbit.helpers.declarer import RabbitDeclarerImpl
from typing_extensions import override
from yarl import URL

from messaging.frames import FrameReader
from messaging.nodes import at_nodes

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel
    from faststream.rabbit import RabbitExchange
    from faststream.rabbit.publisher.producer import AioPikaFastProducerImpl

log = structlog.get_logger(__name__)

aiormq.connection.FrameReceiver = FrameReader  # so does this process read what brokers send

HEARTBEAT = 5
"""Seconds; aiormq gives a silent broker up after three of them and as many seconds: 18 to 20 s in all."""
RECONNECT_INTERVAL = 1.0
"""Seconds between attempts to connect again."""
ATTEMPT_TIMEOUT = 5.0
"""Seconds for one attempt at one node: a frozen one accepts it and says nothing, one cut off not even that."""
RESTORE_TIMEOUT = 15.0
"""Seconds in which a new connection has its channels and consumers back: a node without a majority cannot give them."""

BLOCKED_AFTER = 0.1
"""Seconds; a connection that is not ready then is blocked by an alarm."""


class NodeConnection(RobustConnection):
    """A connection to one node of several: when it is lost, or cannot be had, the next attempt is at the next node.

    Each connection has the nodes in an order of its own, so those of many processes spread over them.
    """

    def __init__(self, url: URL, *, nodes: Sequence[str], **options: Any) -> None:
        urls = at_nodes(str(url), nodes)
        self._urls = cycle(URL(each) for each in random.sample(urls, k=len(urls)))
        super().__init__(next(self._urls), **options)

    @override
    async def _on_connection_close(self, closing: asyncio.Future[Any]) -> None:
        await super()._on_connection_close(closing)  # pyright: ignore[reportUnknownMemberType] - its Future is bare
        self.url = next(self._urls)

    @override
    async def _on_connected(self) -> None:
        transport = self.transport
        try:
            async with asyncio.timeout(RESTORE_TIMEOUT):
                await super()._on_connected()
        except TimeoutError as error:
            if transport is not None:
                await asyncio.gather(transport.connection.close(error), return_exceptions=True)
            raise


class TwoConnectionBroker(RabbitBroker):
    """A RabbitBroker whose producer has a connection of its own. Its channel raises for what comes back unrouted.

    `nodes`, each `host` or `host:port`, are those of a cluster; the URL then gives everything but the host.
    """

    _publishing: RobustConnection | None = None
    _renewal: asyncio.Task[None] | None = None

    def __init__(self, url: str, nodes: Sequence[str] = (), **options: Any) -> None:
        super().__init__(url, timeout=ATTEMPT_TIMEOUT, **options)
        self._connection_kwargs["connection_class"] = partial(NodeConnection, nodes=nodes)

    @override
    async def _connect(self) -> RobustConnection:
        consuming = await super()._connect()
        if self._publishing is None:
            self._publishing = cast("RobustConnection", await connect_robust(**cast("Any", self._connection_kwargs)))
            channels = ChannelManagerImpl(Channel(on_return_raises=True))
            channels.connect(self._publishing)
            producer = cast("AioPikaFastProducerImpl", self.config.broker_config.producer)
            producer.declarer = RabbitDeclarerImpl(channels)
        return consuming

    @override
    async def stop(self, *args: Any, **kwargs: Any) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        await super().stop(*args, **kwargs)
        if self._publishing is not None:
            await self._publishing.close()
            self._publishing = None

    async def publishing_channel(self, exchange: RabbitExchange) -> AbstractChannel:
        """Aiormq's channel on which events are published now."""
        producer = cast("AioPikaFastProducerImpl", self.config.broker_config.producer)
        return await (await producer.declarer.declare_exchange(exchange)).channel.get_underlay_channel()

    def renew_publishing(self) -> None:
        """Publish by a new connection, at the next node: this one does not confirm.

        A channel from which RabbitMQ lost a message in a partition has none of its later ones confirmed either, though
        its connection is alive (https://github.com/rabbitmq/rabbitmq-server/pull/14589).
        """
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew(), name="renew publishing")

    async def _renew(self) -> None:
        transport = self._publishing.transport if self._publishing is not None else None
        if transport is None or not self.connected:
            return
        try:
            async with asyncio.timeout(BLOCKED_AFTER):
                await transport.ready()
        except TimeoutError:  # any other connection would be blocked, too, and this one is not read until then
            return
        log.warning("publishing by a new connection: no confirm came")
        await transport.connection.close(ConnectionError("no confirm came"))

    @property
    def connected(self) -> bool:
        """Whether both connections are open, as far as heartbeats tell."""
        both = (self._connection, self._publishing)
        return all(connection is not None and connection.connected.is_set() for connection in both)


def amqp_url(url: str) -> str:
    """The URL with the heartbeat that detects a frozen broker, unless it names one."""
    if "heartbeat=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}heartbeat={HEARTBEAT}"
