"""The topologies of two documents: which messages would lose their way, and whose they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from messaging.asyncapi.profile import RETRY
from messaging.asyncapi.reading import topology_of
from messaging.compatibility.messages import retired, shown
from messaging.compatibility.verdict import Document, Finding, Verdict, judged
from messaging.topology import Topology

Objects = Mapping[str, Mapping[str, Any]]
"""Exchanges or queues by name, with all that a declaration says of them."""

_REFUSED = "RabbitMQ refuses another declaration of what is there (PRECONDITION_FAILED)"


def compare_topologies(base: Document, head: Document) -> Iterator[Verdict]:
    """A verdict for each exchange, queue and binding that changed, by name within each kind."""
    before, after = topology_of(base), topology_of(head)
    owners, gone = _Owners(base), _retired_queues(base)
    yield from _objects(
        "exchange",
        {each.name: {"type": each.type, **each.arguments} for each in before.exchanges},
        {each.name: {"type": each.type, **each.arguments} for each in after.exchanges},
        lambda name: Finding(
            "",
            "removed",
            owners.of_exchange(name),
            "what is published to it has no way, and what waits behind it is known to nobody",
        ),
        lambda name, change: Finding(
            "",
            change,
            owners.of_exchange(name),
            f"{_REFUSED}, and an exchange cannot be replaced under traffic: give the new one another name",
        ),
    )
    yield from _objects(
        "queue",
        {each.name: {"kind": each.kind, **each.arguments} for each in before.queues},
        {each.name: {"kind": each.kind, **each.arguments} for each in after.queues},
        lambda name: (
            Finding("", "removed; nothing came to it any more")
            if name in gone
            else Finding(
                "",
                "removed",
                owners.of_queue(name),
                "what waits in it, and what still comes to it, is read by nobody",
            )
        ),
        lambda name, change: Finding(
            "",
            change,
            owners.of_queue(name),
            f"{_REFUSED}: it must be made anew (docs/howto/change-a-queue.md)",
        ),
    )
    yield from _bindings(before, after, owners)


def _objects(
    kind: Literal["exchange", "queue"],
    before: Objects,
    after: Objects,
    removed: Callable[[str], Finding],
    changed: Callable[[str, str], Finding],
) -> Iterator[Verdict]:
    for name in sorted({*before, *after}):
        if name not in before:
            yield judged(kind, name, [Finding("", f"new {kind}")], otherwise="new")
        elif name not in after:
            yield judged(kind, name, [removed(name)], otherwise="retired")
        elif changes := _differences(before[name], after[name]):
            yield judged(kind, name, [changed(name, change) for change in changes])


def _bindings(before: Topology, after: Topology, owners: _Owners) -> Iterator[Verdict]:
    """Bindings of queues that were there and still are: those of others come and go with them."""
    old, new = ({(each.queue, each.exchange, each.routing_key) for each in one.bindings} for one in (before, after))
    staying = {each.name for each in before.queues} & {each.name for each in after.queues}
    for queue, exchange, key in sorted(binding for binding in old ^ new if binding[0] in staying):
        name = f"{exchange} -> {queue}, routing key {key!r}"
        if (queue, exchange, key) in new:
            yield judged("binding", name, [Finding("", "new binding")], otherwise="new")
        else:
            because = f"messages with the routing key {key!r} no longer reach the queue"
            yield judged("binding", name, [Finding("", "removed", owners.of_queue(queue), because)])


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [
        f"{key}: {shown(before.get(key))} → {shown(after.get(key))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _retired_queues(base: Document) -> set[str]:
    """Queues of events that may go: nothing comes to them any more."""
    events = retired(base)
    return {
        channel["bindings"]["amqp"]["queue"]["name"]
        for channel in base["channels"].values()
        if "queue" in channel["bindings"]["amqp"] and channel["messages"] and channel["messages"].keys() <= events
    }


class _Owners:
    """Which services an exchange or a queue serves."""

    def __init__(self, document: Document) -> None:
        self._exchanges: dict[str, set[str]] = defaultdict(set)
        self._queues: dict[str, set[str]] = defaultdict(set)
        for channel in document["channels"].values():
            if "queue" in channel["bindings"]["amqp"]:
                self._queues[channel["bindings"]["amqp"]["queue"]["name"]] |= _services(channel)
        for operation in document["operations"].values():
            for reference in (operation["channel"], *operation.get(RETRY, {}).get("x-tiers", ())):
                amqp = document["channels"][reference["$ref"].removeprefix("#/channels/")]["bindings"]["amqp"]
                if "exchange" in amqp:
                    self._exchanges[amqp["exchange"]["name"]] |= _services(operation)
        for binding in topology_of(document).bindings:
            if self._queues[binding.queue]:
                self._exchanges[binding.exchange] |= self._queues[binding.queue]
            else:  # a tier's queue is everybody's who uses the exchange before it
                self._queues[binding.queue] = self._exchanges[binding.exchange]

    def of_exchange(self, name: str) -> tuple[str, ...]:
        """The services that publish to it, or receive from it."""
        return tuple(sorted(self._exchanges[name]))

    def of_queue(self, name: str) -> tuple[str, ...]:
        """The services whose messages are in it."""
        return tuple(sorted(self._queues[name]))


def _services(tagged: Mapping[str, Any]) -> set[str]:
    return {tag["name"] for tag in tagged["tags"]}
