"""FastStream's RabbitBroker on two connections: one consumes, one publishes.

Under a memory or disk alarm RabbitMQ blocks every connection that publishes
(https://www.rabbitmq.com/docs/connection-blocked). A consumer on the same connection could no longer acknowledge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from aio_pika import RobustConnection, connect_robust
from faststream.rabbit import Channel, RabbitBroker
from faststream.rabbit.helpers.channel_manager import ChannelManagerImpl
from faststream.rabbit.helpers.declarer import RabbitDeclarerImpl
from typing_extensions import override

if TYPE_CHECKING:
    from faststream.rabbit.publisher.producer import AioPikaFastProducerImpl

HEARTBEAT = 6
"""Seconds; a frozen broker is noticed after about three."""
RECONNECT_INTERVAL = 1.0
"""Seconds between attempts to connect again."""


class TwoConnectionBroker(RabbitBroker):
    """A RabbitBroker whose producer has a connection of its own. Its channel raises for what comes back unrouted."""

    _publishing: RobustConnection | None = None

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
        await super().stop(*args, **kwargs)
        if self._publishing is not None:
            await self._publishing.close()
            self._publishing = None

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
