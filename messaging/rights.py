"""What each service may do on the broker, derived from the document: nothing more than it describes.

A service reads the queues that it receives from, and writes to the exchanges that this takes; it declares nothing. On
the exchange of events it may say its own events alone (https://www.rabbitmq.com/docs/access-control#topic-authorisation).
Retries go through shared tiers, so a service could hand a message to another's queue by way of one; the message would
bear its sender's name, which the broker checks (https://www.rabbitmq.com/docs/validated-user-id).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

from messaging.asyncapi.profile import CUSTODY
from messaging.asyncapi.reading import operations, referred
from messaging.management import TIMEOUT, asking
from messaging.topology import DEAD, EVENTS, REQUEUE, Topology

NOTHING = "^$"
EVERYTHING = ".*"
MONITORING = "monitoring"
"""RabbitMQ's tag for who may see all queues and connections, and change nothing."""


@dataclass(frozen=True, slots=True)
class Rights:
    """A service's rights in the virtual host, as sets of names."""

    reads: frozenset[str]
    """Queues."""
    writes: frozenset[str]
    """Exchanges."""
    says: frozenset[str] | None
    """Routing keys on the exchange of events; None stands for any."""
    watches: bool = False
    """Whether it may see, by the management API, what all queues hold."""


def rights_of(document: Mapping[str, Any], topology: Topology) -> dict[str, Rights]:
    """The rights of every service in the document, by its name; the topology tells the retry tiers."""
    received, said, keeps = dict[str, set[str]](), dict[str, set[str]](), set[str]()
    for operation in operations(document, "receive"):
        service = operation["tags"][0]["name"]
        queue = referred(document, operation["channel"])["bindings"]["amqp"]["queue"]["name"]
        received.setdefault(service, set()).add(queue)
        if operation.get(CUSTODY):
            keeps.add(service)
    for operation in operations(document, "send"):
        service = operation["tags"][0]["name"]
        said.setdefault(service, set()).add(referred(document, operation["channel"])["address"])
    set_aside = {DEAD, *(queue.name for queue in topology.queues if queue.kind == "retry")}
    return {
        service: Rights(
            reads=frozenset(received.get(service, ())),
            writes=frozenset(
                {EVENTS}
                | (set_aside if service in received else set[str]())
                | ({REQUEUE} if service in keeps else set[str]())  # whoever keeps dead letters gives them back
            ),
            says=None if service in keeps else frozenset(said.get(service, ())),
            watches=service in keeps,
        )
        for service in sorted({*received, *said})
    }


def pattern(names: Collection[str] | None) -> str:
    """The regular expression by which RabbitMQ grants exactly these names; None grants all."""
    if names is None:
        return EVERYTHING
    return f"^({'|'.join(re.escape(name) for name in sorted(names))})$" if names else NOTHING


async def grant(management_url: str, vhost: str, users: Iterable[tuple[str, Rights, str]]) -> None:
    """Make users with these rights and passwords in the virtual host, or set both anew; harmless when repeated.

    Raises ManagementUnavailable.
    """
    async with httpx2.AsyncClient(base_url=f"{management_url.rstrip('/')}/api", timeout=TIMEOUT) as http:

        async def put(what: str, name: str, body: Mapping[str, str]) -> None:
            with asking(f"user {name}"):
                (await http.put(what, json=body)).raise_for_status()

        for name, rights, password in users:
            place = f"{quote(vhost, safe='')}/{quote(name, safe='')}"
            tags = MONITORING if rights.watches else ""
            await put(f"/users/{quote(name, safe='')}", name, {"password": password, "tags": tags})
            allowed = {"configure": NOTHING, "write": pattern(rights.writes), "read": pattern(rights.reads)}
            await put(f"/permissions/{place}", name, allowed)
            spoken = {"exchange": EVENTS, "write": pattern(rights.says), "read": NOTHING}
            await put(f"/topic-permissions/{place}", name, spoken)
