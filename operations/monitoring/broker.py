"""The broker as a source: every queue, who consumes, and what differs from the document."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence

from messaging.management import Live, QueueStatistics, read_broker
from messaging.nodes import at_nodes
from messaging.topology import Queue
from messaging.verify import compare
from operations.monitoring import metrics
from operations.monitoring.age import OldestAge
from operations.monitoring.described import Described, service_of
from operations.monitoring.metrics import Sample, sample

_NOTHING = QueueStatistics(0, 0, 0, 0, 0.0, 0.0, 0.0, 0, 0)
"""A queue that is too young to have statistics, or that is missing: the drift says so."""


class Broker:
    """Reads RabbitMQ's management API, whose numbers are some seconds old. No message is fetched.

    Any node of a cluster tells of the whole cluster; when one has failed to, the next reading is from the next.
    """

    name = "rabbitmq"

    def __init__(self, described: Described, management_url: str, vhost: str, nodes: Sequence[str] = ()) -> None:
        self._described = described
        self._urls = deque(at_nodes(management_url, nodes))
        self._vhost = vhost
        self._ages = {queue.name: OldestAge() for queue in described.queues}

    async def read(self) -> Sequence[Sample]:
        """Ask once for everything. Raises ManagementUnavailable."""
        try:
            live = await read_broker(self._urls[0], self._vhost)
        except BaseException:  # a frozen node is given up by cancelling
            self._urls.rotate(-1)
            raise
        return [*self._queues(live), *self._replicas(live), self._drift(live)]

    def _queues(self, live: Live) -> Iterator[Sample]:
        now = time.monotonic()
        for queue in self._described.queues:
            seen = live.statistics.get(queue.name, _NOTHING)
            age = self._ages[queue.name].observe(now, seen.messages, _left(queue, seen))
            for metric, value in (
                (metrics.QUEUE_READY, seen.ready),
                (metrics.QUEUE_UNACKNOWLEDGED, seen.unacknowledged),
                (metrics.QUEUE_MESSAGES, seen.messages),
                (metrics.QUEUE_UNACCOUNTED, seen.unaccounted),
                (metrics.QUEUE_CONSUMERS, seen.consumers),
                (metrics.QUEUE_PUBLISH_RATE, seen.publish_rate),
                (metrics.QUEUE_DELIVER_RATE, seen.deliver_rate),
                (metrics.QUEUE_ACKNOWLEDGE_RATE, seen.acknowledge_rate),
                (metrics.QUEUE_OLDEST_AGE, age),
            ):
                yield sample(metric, value, queue.name)

    def _replicas(self, live: Live) -> Iterator[Sample]:
        """Each process consumes all queues of its service by one connection. Dead letters are somebody else's."""
        work = {queue.name for queue in self._described.of_kind("work")}
        connections: dict[str, set[str]] = defaultdict(set)
        for consumer in live.consumers:
            if consumer.queue in work:
                connections[service_of(consumer.queue)].add(consumer.connection)
        for service in self._described.services:
            yield sample(metrics.SERVICE_REPLICAS, len(connections[service]), service)

    def _drift(self, live: Live) -> Sample:
        """Consumers that are missing have an alarm of their own."""
        drifts = [each for each in compare(self._described.topology, live) if each.what != "consumer"]
        return sample(metrics.TOPOLOGY_DRIFT, len(drifts))


def _left(queue: Queue, seen: QueueStatistics) -> int:
    """How many messages have left it. A retry tier's expire, unseen by any counter, and all of them were published."""
    return seen.published - seen.messages if queue.kind == "retry" else seen.taken
