"""The network between the services: a bag of letters that the test delivers as it likes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiormq.abc
from aio_pika import IncomingMessage
from pamqp import commands
from pamqp.header import ContentHeader

from messaging import edge
from messaging.envelope import ATTEMPT, CONTENT_TYPE, REDRIVE, Envelope
from messaging.outbox import Outgoing
from messaging.retry import failure_headers, properties_of
from messaging.topology import Delay


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that waits in one queue."""

    queue: str
    body: bytes
    message_id: str
    type: str
    order_id: str
    headers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    redelivered: bool = False

    @property
    def service(self) -> str:
        """Who consumes the queue."""
        return self.queue.partition(".")[0]

    @property
    def number(self) -> int:
        """The number of the re-drive that it belongs to."""
        return int(self.headers.get(REDRIVE, 0))

    def __str__(self) -> str:
        return f"{self.queue} of {self.order_id[-4:]} ({self.number}, {self.headers.get(ATTEMPT, 0)})"


class Delivery(IncomingMessage):
    """A letter on its way into a handler, and what the service told the broker about it."""

    def __init__(self, letter: Letter) -> None:
        properties = commands.Basic.Properties(
            content_type=CONTENT_TYPE,
            headers=dict(letter.headers),
            correlation_id=letter.order_id,
            message_id=letter.message_id,
            message_type=letter.type,
        )
        super().__init__(
            aiormq.abc.DeliveredMessage(
                delivery=commands.Basic.Deliver(delivery_tag=1, redelivered=letter.redelivered),
                header=ContentHeader(properties=properties),
                body=letter.body,
                channel=None,  # type: ignore[arg-type]  # no broker is there to be told
            )
        )
        self.acked = False

    async def ack(self, multiple: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - aio-pika's signature
        """The service is done with it."""
        self.acked = True

    async def nack(self, multiple: bool = False, requeue: bool = True) -> None:  # noqa: FBT001, FBT002
        """The service gives it back."""


class Network:
    """What is on its way, what ever was, and what was parked. It loses and repeats nothing on its own account."""

    def __init__(self, queues: Collection[str]) -> None:
        self._queues = queues
        self._orders: list[str] = []
        self.bag: list[Letter] = []
        self.history: list[Letter] = []
        self.parked: list[Letter] = []

    def clear(self) -> None:
        """Forget everything."""
        for letters in (self.bag, self.history, self.parked, self._orders):
            letters.clear()

    def put(self, letter: Letter) -> None:
        """Let a letter wait."""
        if letter.order_id not in self._orders:
            self._orders.append(letter.order_id)
        self.bag.append(letter)
        self.history.append(letter)

    def publish(self, message: Outgoing) -> None:
        """Put a copy of the event into every queue that is bound to it."""
        for queue in self._queues:
            if queue.partition(".")[2] == message.name:
                order_id = str(message.order_id or message.event_id)
                letter = Letter(
                    queue, message.body.encode(), str(message.event_id), message.type, order_id, message.headers
                )
                self.put(letter)

    def take(self, pick: int) -> Letter:
        """Take any one letter out of the bag: `pick` modulo its size. The order does not depend on who was quicker."""
        self.bag.sort(key=self._place)
        return self.bag.pop(pick % len(self.bag))

    def past(self, pick: int) -> Letter:
        """Any letter that ever was."""
        self.history.sort(key=self._place)
        return self.history[pick % len(self.history)]

    def _place(self, letter: Letter) -> tuple[int, str, int, int]:
        return self._orders.index(letter.order_id), letter.queue, letter.number, int(letter.headers.get(ATTEMPT, 0))


class BagCourier:
    """A service's courier that leaves its messages in the network's bag."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Send outbox messages; each is confirmed."""
        for message in messages:
            edge.crash_point(f"{edge.Step.EVENT_PUBLISH}.before")
            self._network.publish(message)
            edge.crash_point(f"{edge.Step.EVENT_PUBLISH}.after")
        return ()

    async def retry(self, message: Any, envelope: Envelope, error: BaseException, delay: Delay) -> None:  # noqa: ARG002
        """Send a message that failed through a tier: it comes again, nobody knows when."""
        edge.crash_point(f"{edge.Step.RETRY_PUBLISH}.before")
        self._network.put(_again(message, envelope, error))
        edge.crash_point(f"{edge.Step.RETRY_PUBLISH}.after")

    async def park(self, message: Any, envelope: Envelope, error: BaseException) -> None:
        """Send a message to its dead-letter queue."""
        edge.crash_point(f"{edge.Step.DEAD_PUBLISH}.before")
        self._network.parked.append(_again(message, envelope, error))
        edge.crash_point(f"{edge.Step.DEAD_PUBLISH}.after")


def redelivered(letter: Letter) -> Letter:
    """The letter as it comes after its consumer died."""
    return replace(letter, redelivered=True)


def _again(message: Any, envelope: Envelope, error: BaseException) -> Letter:
    kept = properties_of(message)
    return Letter(
        envelope.queue,
        message.body,
        kept["message_id"],
        kept["message_type"],
        kept["correlation_id"],
        failure_headers(envelope, error),
    )
