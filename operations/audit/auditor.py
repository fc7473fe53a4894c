"""The auditor at work: it looks again and again, and keeps a register of what it finds."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta

from prometheus_client import CollectorRegistry, Gauge

from messaging.database import Database
from messaging.service import Service
from messaging.topology import Topology
from operations.audit.balance import Audit, Balance
from operations.audit.custody import parked_in
from operations.audit.kinds import Kind
from operations.audit.register import Register
from operations.audit.settings import AuditSettings
from operations.audit.sources import REST, Sources

CATCHING_UP = 0.5
"""Seconds, at least, between two looks while there is more to read."""
LONGEST_REST = 0.1
"""Seconds, at most, between two slices of one snapshot; of a million reservations it gets half a minute old."""
MISSED_LOOKS = 3
"""A violation that nobody has seen for so many looks is cleared."""


class Auditor:
    """Looks every `interval` seconds. It remembers what it has read, also over failures of a database."""

    def __init__(
        self, databases: Mapping[str, Database], audit: Audit, register: Register, interval: float, gauge: Gauge
    ) -> None:
        """`databases` are closed at the end of `watch`."""
        self.last: Balance | None = None
        """What the last look gave; None before the first."""
        self.register = register
        self._databases = databases
        self._audit = audit
        self._interval = interval
        self._gauge = gauge

    async def watch(self) -> None:
        """Look for ever. Raises DatabaseUnavailable when a database is away."""
        async with AsyncExitStack() as closing:
            for database in self._databases.values():
                closing.push_async_callback(database.close)
            clock = asyncio.get_running_loop().time
            while True:
                began = clock()
                balance = await self.look()
                catching_up = max(CATCHING_UP, REST * (clock() - began))
                await asyncio.sleep(self._interval if balance.complete else min(self._interval, catching_up))

    async def look(self) -> Balance:
        """Look once, and keep what was found."""
        self.last = balance = await self._audit.look()
        await self.register.keep(balance)
        counts = await self.register.counts()
        for kind in Kind:
            self._gauge.labels(kind).set(counts.get(kind, 0))
        return balance


def auditor_of(service: Service, settings: AuditSettings, topology: Topology) -> Auditor | None:
    """Make the auditor for the control room; None when no databases are given. Raises ValueError when some are."""
    if not settings.databases:
        return None
    databases = {
        name: Database(url.get_secret_value(), name=name, pool_size=1) for name, url in settings.databases.items()
    }
    sources = Sources({**databases, service.name: service.database})
    audit = Audit(sources, settings, topology, parked_in(service.database), rest=LONGEST_REST)
    quiet = timedelta(seconds=MISSED_LOOKS * settings.interval)
    register = Register(service.execute, service.database, quiet)
    return Auditor(databases, audit, register, settings.interval, gauge_in(service.metrics.registry))


def gauge_in(registry: CollectorRegistry) -> Gauge:
    """Make the numbers for Prometheus: all kinds, at zero."""
    gauge = Gauge("orders_audit_violations", "Open violations that the audit found", ["kind"], registry=registry)
    for kind in Kind:
        gauge.labels(kind)
    return gauge
