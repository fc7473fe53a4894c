"""Which frames acknowledge the deliveries of a channel."""

from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic

from messaging.acks import Tags


def told(frames: list[Basic.Ack]) -> list[tuple[int | None, bool | None]]:
    """The frames as pairs."""
    return [(frame.delivery_tag, frame.multiple) for frame in frames]


def test_what_was_delivered_first_is_acknowledged_together() -> None:
    """When everything up to a tag was handled, one frame says so."""
    tags = Tags()
    assert told(list(tags.acks([1, 2, 3]))) == [(3, True)]
    assert told(list(tags.acks([5, 4]))) == [(5, True)]


def test_nothing_waits_for_a_message_that_takes_longer() -> None:
    """What was handled ahead of another is acknowledged by itself; the other one's ack does not repeat it."""
    tags = Tags()
    assert told(list(tags.acks([2, 3]))) == [(2, False), (3, False)]
    assert told(list(tags.acks([1]))) == [(1, True)]
    assert told(list(tags.acks([4]))) == [(4, True)]


def test_what_was_given_back_by_itself_counts_as_handled() -> None:
    """A message that was acknowledged or returned elsewhere leaves no gap."""
    tags = Tags()
    tags.handled([1])
    assert told(list(tags.acks([2, 3]))) == [(3, True)]


@given(st.permutations(range(1, 13)), st.lists(st.integers(1, 5), min_size=12, max_size=12))
def test_each_is_acknowledged_once_by_a_tag_that_is_open(order: list[int], sizes: list[int]) -> None:
    """As RabbitMQ keeps its books: no frame names a tag that is closed, and none closes what was not handled."""
    tags, handled, waiting = Tags(), set[int](), set(order)
    while order:
        size = sizes.pop()
        group, order = order[:size], order[size:]
        handled |= set(group)
        for frame in tags.acks(group):
            tag = frame.delivery_tag
            assert tag in waiting
            closed = {other for other in waiting if other <= tag} if frame.multiple else {tag}
            assert closed <= handled
            waiting -= closed
        assert waiting == set(order)
