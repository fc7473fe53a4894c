"""Carries messages to the broker and waits for its word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import structlog
from faststream.rabbit import ExchangeType, RabbitExchange
from pamqp.commands import Basic

from messaging import edge
from messaging.collector import DeadLetter
from messaging.envelope import ATTEMPT, CONTENT_TYPE, ERROR_CLASS, ERROR_REASON, LAST_FAILURE, REPLAY, Envelope
from messaging.letters import Letter
from messaging.metrics import Metrics
from messaging.outbox import Outgoing
from messaging.retry import BROKER_HISTORY, failure_headers, properties_of
from messaging.topology import DEAD, EVENTS, REQUEUE, Delay, retry_tier
from messaging.tracing import Tracing
from messaging.unreadable import writable
from messaging.wire import Wire

log = structlog.get_logger(__name__)

EVENTS_EXCHANGE = RabbitExchange(EVENTS, type=ExchangeType.TOPIC, durable=True, declare=False)
REQUEUE_EXCHANGE = RabbitExchange(REQUEUE, type=ExchangeType.DIRECT, durable=True, declare=False)
OF_THE_LAST_TRY = (*BROKER_HISTORY, ATTEMPT, LAST_FAILURE, ERROR_CLASS, ERROR_REASON)
"""Headers that a replay begins without."""
DEAD_EXCHANGE = RabbitExchange(DEAD, type=ExchangeType.DIRECT, durable=True, declare=False)


_Sent = asyncio.Future[Collection[UUID]]
"""Ends with the ids that were confirmed, of all that were sent together."""


class Courier(Protocol):
    """How the kernel hands messages over. The broker's is below; tests have one that works in memory."""

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Send outbox messages together; returns those that were not confirmed."""
        ...

    async def retry(self, message: Any, envelope: Envelope, error: BaseException, delay: Delay) -> None:
        """Send a message that failed to the tier with that delay. Raises PublishFailed."""
        ...

    async def park(self, message: Any, envelope: Envelope, error: BaseException) -> None:
        """Send a message that cannot be handled to its dead-letter queue. Raises PublishFailed."""
        ...


class RabbitCourier:
    """Publishes with confirms: a message counts as sent only when the broker answered with an ack for it."""

    def __init__(  # noqa: PLR0913 - wired once, by name
        self,
        broker: edge.Publisher,
        publishers: Mapping[str, edge.Publisher],
        *,
        app: str,
        user: str,
        wire: Wire | None,
        publish_timeout: float,
        connected: Callable[[], bool],
        renew: Callable[[], None],
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        """`wire` carries events together; without one, each goes by its FastStream publisher, and can be traced."""
        self._broker = broker
        self._app = app
        self._user = user
        self._wire = wire
        self._connected = connected
        self._renew = renew
        self._publishers = publishers
        self._timeout = publish_timeout
        self._metrics = metrics
        self._tracing = tracing
        self._in_flight: dict[UUID, _Sent] = {}
        self._gathered: list[Outgoing] = []
        self._next: _Sent | None = None
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> Collection[UUID]:
        """Outbox rows that are being sent right now; the relay leaves them alone."""
        return self._in_flight.keys()

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Send outbox messages, all in flight together; returns those that were not confirmed."""
        if self._wire is None:
            confirmed = await asyncio.gather(*(self._send_once(message) for message in messages))
            return [message for message, ok in zip(messages, confirmed, strict=True) if not ok]
        if not messages or not self._connected():
            return messages
        sent = [self._in_flight.get(message.id) or self._gather(message) for message in messages]
        await asyncio.wait(set(sent))
        return [message for message, those in zip(messages, sent, strict=True) if message.id not in those.result()]

    def _gather(self, message: Outgoing) -> _Sent:
        """Let a row that nobody is sending go out with all that is sent in this turn of the event loop."""
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = loop.create_future()
            loop.call_soon(self._send_gathered, self._next)
        self._gathered.append(message)
        self._in_flight[message.id] = self._next
        return self._next

    def _send_gathered(self, sent: _Sent) -> None:
        messages, self._gathered, self._next = self._gathered, [], None
        task = asyncio.create_task(self._send_batch(messages, sent))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_batch(self, messages: Sequence[Outgoing], sent: _Sent) -> None:
        assert self._wire is not None  # noqa: S101 - asked before
        confirmed = set[UUID]()
        try:
            letters = [self._letter(message) for message in messages]
            said = await edge.publish_batch(self._wire, letters, edge.Step.EVENT_PUBLISH, self._timeout)
            for message, word in zip(messages, said, strict=True):
                series = self._metrics.event(message.name)
                if isinstance(word, Basic.Ack):
                    confirmed.add(message.id)
                    series.published.inc()
                else:
                    series.unconfirmed.inc()
                    _log_unconfirmed(message, word)
            if any(isinstance(word, edge.Unanswered | edge.ChannelClosed) for word in said):
                self._renew()
        finally:
            for message in messages:
                del self._in_flight[message.id]
            sent.set_result(confirmed)

    def _letter(self, message: Outgoing) -> Letter:
        return Letter(
            routing_key=message.name,
            body=message.body.encode(),
            message_id=str(message.event_id),
            correlation_id=str(message.order_id or message.event_id),
            type=message.type,
            content_type=CONTENT_TYPE,
            user_id=self._user,
            app_id=self._app,
            timestamp=datetime.now(UTC),
            headers=message.headers,
        )

    async def _send_once(self, message: Outgoing) -> bool:
        """Send a row, or wait for whoever is sending it: one id is never twice in flight on the channel."""
        running = self._in_flight.get(message.id)
        if running is not None:
            return message.id in await asyncio.shield(running)
        done = self._in_flight[message.id] = asyncio.get_running_loop().create_future()
        confirmed = False
        try:
            confirmed = await self._send(message)
        finally:
            del self._in_flight[message.id]
            done.set_result({message.id} if confirmed else ())
        return confirmed

    async def _send(self, message: Outgoing) -> bool:
        if not self._connected():
            return False
        series, message_id = self._metrics.event(message.name), str(message.event_id)
        with self._tracing.publishing(EVENTS, message.name, message_id, message.headers) as headers:
            try:
                await self._publish(message, message_id, headers)
            except edge.PublishFailed as error:
                self._tracing.failed(error)
                series.unconfirmed.inc()
                _log_unconfirmed(message, error)
                return False
        series.published.inc()
        return True

    async def _publish(self, message: Outgoing, message_id: str, headers: Mapping[str, Any]) -> None:
        publisher = self._publishers.get(message.name)
        to = {} if publisher else {"exchange": EVENTS_EXCHANGE, "routing_key": message.name}
        await self._confirmed(
            publisher or self._broker,
            message.body.encode(),
            edge.Step.EVENT_PUBLISH,
            message_id=message_id,
            message_type=message.type,
            correlation_id=str(message.order_id or message.event_id),
            content_type=CONTENT_TYPE,
            headers=headers,
            **to,
        )

    async def retry(self, message: Any, envelope: Envelope, error: BaseException, delay: Delay) -> None:
        """Send a message that failed to the tier with that delay. Raises PublishFailed."""
        tier = RabbitExchange(retry_tier(delay), type=ExchangeType.FANOUT, durable=True, declare=False)
        await self._again(message, envelope, error, tier, edge.Step.RETRY_PUBLISH)

    async def park(self, message: Any, envelope: Envelope, error: BaseException) -> None:
        """Send a message that cannot be handled to its dead-letter queue. Raises PublishFailed."""
        await self._again(message, envelope, error, DEAD_EXCHANGE, edge.Step.DEAD_PUBLISH)

    async def put_back(self, letter: DeadLetter, queue: str | None, replay_id: UUID) -> None:
        """Send a dead letter to that work queue again, under its own id; None sends it as an event, to all queues.

        Raises PublishFailed: it may have arrived, or not; sending it again is harmless.
        """
        kept = {name: value for name, value in letter.headers.items() if not name.startswith(OF_THE_LAST_TRY)}
        await self._confirmed(
            self._broker,
            letter.body,
            edge.Step.REPLAY_PUBLISH,
            exchange=EVENTS_EXCHANGE if queue is None else REQUEUE_EXCHANGE,
            routing_key=letter.routing_key if queue is None else queue,
            headers={**writable(kept), REPLAY: str(replay_id)},
            message_id=letter.message_id,
            correlation_id=letter.correlation_id,
            message_type=letter.type,
            content_type=letter.content_type,
            content_encoding=letter.content_encoding,
            timestamp=letter.timestamp,
        )

    async def _again(
        self,
        message: Any,
        envelope: Envelope,
        error: BaseException,
        exchange: RabbitExchange,
        step: edge.Step,
    ) -> None:
        with self._tracing.setting_aside(exchange.name, envelope.queue):
            await self._confirmed(
                self._broker,
                message.body,
                step,
                exchange=exchange,
                routing_key=envelope.queue,
                headers=failure_headers(envelope, error),
                **properties_of(message),
            )

    async def _confirmed(self, publisher: edge.Publisher, body: bytes, step: edge.Step, **options: Any) -> None:
        # RabbitMQ refuses a message that bears another user's name (https://www.rabbitmq.com/docs/validated-user-id)
        try:
            confirm = await edge.publish(publisher, body, step, self._timeout, user_id=self._user, **options)
        except (edge.Unanswered, edge.ChannelClosed):
            self._renew()
            raise
        if not isinstance(confirm, Basic.Ack):
            msg = f"the broker answered {type(confirm).__name__}, no ack"
            raise edge.PublishFailed(msg)


def _log_unconfirmed(message: Outgoing, error: object) -> None:
    order, message_id = None if message.order_id is None else str(message.order_id), str(message.event_id)
    log.info("event not confirmed", event_name=message.name, message_id=message_id, order=order, error=str(error))
