"""Requests made up from an API's own description, good and bad ones: the answers are as described, and never a 5xx.

Server-sent events are left out: a stream has no end, and no schema.
"""

# pyright: basic, reportMissingTypeArgument=false
# (schemathesis gives half of its types away)

import pytest
from schemathesis import Case

from operations.app import api as control_room_application
from order_api.app import api as order_application
from tests.api.fuzzing import MANY, SOME, Target, answered_as_described, described, refused, shared

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.database]

orders = described(order_application, without="followOrder")
operations = described(control_room_application)


@orders.parametrize()
@shared(SOME, orders)
def test_answers_are_as_described(order_api: Target, case: Case) -> None:
    """Status, content type, headers and body are those of the document, and what breaks a rule is refused."""
    answered_as_described(order_api, case)


@operations.parametrize()
@shared(SOME, operations)
def test_the_control_room_answers_as_described(control_room: Target, case: Case) -> None:
    """So are the control room's."""
    answered_as_described(control_room, case)


@pytest.mark.slow
@orders.parametrize()
@shared(MANY, orders)
def test_answers_are_as_described_many_times(order_api: Target, case: Case) -> None:
    """The same, for long."""
    answered_as_described(order_api, case)


@pytest.mark.slow
@operations.parametrize()
@shared(MANY, operations)
def test_the_control_room_answers_as_described_many_times(control_room: Target, case: Case) -> None:
    """The same, for long."""
    answered_as_described(control_room, case)


@orders.parametrize()
@shared(SOME, orders)
def test_without_a_key_nothing_opens(order_api: Target, case: Case) -> None:
    """Whatever is asked: 401, ahead of any look at the request; documents are open."""
    refused(order_api, case)


@operations.parametrize()
@shared(SOME, operations)
def test_without_a_key_the_control_room_opens_nothing(control_room: Target, case: Case) -> None:
    """Whatever is asked: 401, ahead of any look at the request."""
    refused(control_room, case)
