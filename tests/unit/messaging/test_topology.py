"""The topology as data: the shapes that keep messages from vanishing."""

import pytest

from messaging.topology import (
    DEAD,
    DEFAULT_TIERS,
    EVENTS,
    REQUEUE,
    UNROUTED,
    Binding,
    Queue,
    dead_letter_queue,
    event_of,
    milliseconds,
    queue_name,
    topology,
)

WORK = queue_name("payment", "order.created")
TOPOLOGY = topology([WORK, "shipping.inventory.reserved"])


def queues(kind: str) -> list[Queue]:
    """The queues of a kind."""
    return [queue for queue in TOPOLOGY.queues if queue.kind == kind]


def test_every_queue_is_a_quorum_queue() -> None:
    """The type of every queue is declared, so that no default of a broker version decides."""
    assert {queue.arguments["x-queue-type"] for queue in TOPOLOGY.queues} == {"quorum"}


def test_a_work_queue_dead_letters_to_its_own_parking_place_only() -> None:
    """A work queue's last resort is its dead-letter queue, never a tier: a cycle would drop the message."""
    for queue in queues("work"):
        assert queue.arguments["x-dead-letter-exchange"] == DEAD
        assert Binding(exchange=DEAD, queue=dead_letter_queue(queue.name), routing_key=queue.name) in TOPOLOGY.bindings
        assert int(queue.arguments["x-delivery-limit"]) >= 50


def test_what_dead_letters_does_so_at_least_once() -> None:
    """Every queue with a dead-letter exchange survives a crash of the broker in between."""
    for queue in [*queues("work"), *queues("retry")]:
        assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"
        assert queue.arguments["x-overflow"] == "reject-publish"


def test_a_tier_has_one_delay_and_leads_back() -> None:
    """Each tier has one fixed TTL and a bound, and returns its messages to where they came from."""
    assert [queue.arguments["x-message-ttl"] for queue in queues("retry")] == [1000, 5000, 30000, 120000, 600000]
    for queue in queues("retry"):
        assert queue.arguments["x-dead-letter-exchange"] == REQUEUE
        assert "x-dead-letter-routing-key" not in queue.arguments
        assert "x-max-length" in queue.arguments


def test_a_parked_message_stays() -> None:
    """Neither a dead-letter queue nor the queue of the unrouted dead-letters, expires or drops."""
    for queue in [*queues("dead-letter"), *queues("unrouted")]:
        assert set(queue.arguments) == {"x-queue-type", "x-delivery-limit"}
        assert int(queue.arguments["x-delivery-limit"]) > 10**8


def test_a_work_queue_can_be_reached_by_event_and_by_name() -> None:
    """Events come by their name; returns and replays by the queue's own."""
    bound = {(b.exchange, b.routing_key) for b in TOPOLOGY.bindings if b.queue == WORK}
    assert bound == {(EVENTS, "order.created"), (REQUEUE, WORK)}


def test_what_nobody_wants_is_kept() -> None:
    """The event exchange hands what has no queue to the exchange of the unrouted, which has one."""
    [events] = [exchange for exchange in TOPOLOGY.exchanges if exchange.name == EVENTS]
    assert events.arguments == {"alternate-exchange": UNROUTED}
    assert Binding(exchange=UNROUTED, queue=UNROUTED, routing_key="") in TOPOLOGY.bindings


def test_other_tiers_keep_the_work_queues() -> None:
    """Tests and demos take short tiers with the same queues."""
    short = TOPOLOGY.with_tiers(["50ms"])
    assert [queue for queue in short.queues if queue.kind != "retry"] == [
        queue for queue in TOPOLOGY.queues if queue.kind != "retry"
    ]
    assert [queue.name for queue in short.queues if queue.kind == "retry"] == ["orders.retry.50ms"]


def test_other_tiers_keep_arguments_as_described() -> None:
    """`topology apply --migrate` sees a queue's changed argument under other tiers, too."""
    changed = [
        queue.model_copy(update={"arguments": {**queue.arguments, "x-delivery-limit": 60}}) for queue in TOPOLOGY.queues
    ]
    short = TOPOLOGY.model_copy(update={"queues": tuple(changed)}).with_tiers(["50ms"])
    assert {queue.arguments["x-delivery-limit"] for queue in short.queues if queue.kind == "work"} == {60}


def test_the_name_of_a_queue_holds_its_event() -> None:
    """Service and event make the name, and the event is read from it."""
    assert (WORK, event_of(WORK)) == ("payment.order.created", "order.created")


def test_delays_are_read() -> None:
    """The default tiers wait for 756 seconds in all."""
    assert sum(milliseconds(delay) for delay in DEFAULT_TIERS) == 756_000


@pytest.mark.parametrize("delay", ["", "5", "s", "-1s", "1.5s", "1d"])
def test_what_is_no_delay_is_an_error(delay: str) -> None:
    """A delay is a whole number with a unit."""
    with pytest.raises(ValueError, match="is no delay"):
        milliseconds(delay)
