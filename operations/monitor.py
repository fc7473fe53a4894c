"""Monitoring at work in the control room: its sources, and whom it tells."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from pydantic import SecretStr

from messaging.database import Database
from messaging.management import virtual_host
from messaging.service import Service
from operations.cloudwatch import CloudWatch, CloudWatchSettings
from operations.monitoring.alarms import ORDERS_DATABASE
from operations.monitoring.broker import Broker
from operations.monitoring.collector import Collector, Sink, Source
from operations.monitoring.described import read_description
from operations.monitoring.exposition import Exposition
from operations.monitoring.liveness import Liveness
from operations.monitoring.office import ControlRoom
from operations.monitoring.settings import MonitoringSettings
from operations.monitoring.tables import Orders, Outbox


class Monitor:
    """A collector with the connections that it reads by; they are closed when it ends."""

    def __init__(self, collector: Collector, databases: Mapping[str, Database]) -> None:
        self.collector = collector
        self._databases = databases

    async def watch(self) -> None:
        """Take snapshots for ever."""
        async with AsyncExitStack() as closing:
            for database in self._databases.values():
                closing.push_async_callback(database.close)
            await self.collector.watch()


def install(
    service: Service,
    document: Path,
    urls: Mapping[str, SecretStr],
    settings: MonitoringSettings,
    aws: CloudWatchSettings,
) -> None:
    """Let the control room watch over the system: at its `/metrics`, and in CloudWatch if that is enabled.

    `urls` are the other services' databases, by a role that may only read. What has no address is not read.
    """
    described = read_description(document).with_tiers(service.settings.retry_tiers)
    databases = {name: _reader(name, url) for name, url in urls.items()}
    sources: list[Source] = [
        *(Outbox(name, database) for name, database in (*databases.items(), (service.name, service.database))),
        ControlRoom(service.database, described.services),
    ]
    if settings.management_url:
        vhost = virtual_host(service.settings.amqp_url.get_secret_value())
        sources.append(Broker(described, settings.management_url.get_secret_value(), vhost, settings.management_nodes))
    if settings.addresses:
        sources.append(Liveness(settings.addresses))
    if ORDERS_DATABASE in databases:
        sources.append(Orders(databases[ORDERS_DATABASE], described.causes))
    exposition = Exposition()
    service.metrics.registry.register(exposition)
    sinks: list[Sink] = [exposition.take]
    if aws.enabled:
        cloudwatch = CloudWatch(aws)
        sinks.append(cloudwatch.take)
        service.worker("cloudwatch", cloudwatch.watch)
    service.worker("monitoring", Monitor(Collector(sources, settings.interval, sinks), databases).watch)


def _reader(name: str, url: SecretStr) -> Database:
    return Database(url.get_secret_value(), name=name, pool_size=2)
