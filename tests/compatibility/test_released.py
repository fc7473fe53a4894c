"""The gate: what the code says may be released after what was released last."""

import copy

from devstack.contracts import RELEASED
from devstack.paths import CHECKOUT
from messaging.asyncapi.profile import Json
from messaging.asyncapi.reading import load
from messaging.compatibility.broker import compare_topologies
from messaging.compatibility.messages import compare_events
from messaging.compatibility.verdict import breaking


def test_nothing_breaks_what_was_released(base: Json) -> None:
    """Every event and queue of the last release is still served. If not: docs/howto/evolve-an-event.md."""
    released = load(CHECKOUT / RELEASED)
    broken = breaking([*compare_events(released, base), *compare_topologies(released, base)])
    assert broken == [], "./run contracts diff says what breaks, and for whom"


def test_a_breaking_change_would_be_noticed(base: Json) -> None:
    """The gate closes: a field of an event is gone."""
    head = copy.deepcopy(base)
    del head["components"]["schemas"]["ShippingReady"]["properties"]["tracking_number"]
    assert breaking(compare_events(load(CHECKOUT / RELEASED), head))
