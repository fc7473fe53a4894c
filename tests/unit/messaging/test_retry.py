"""Where a failed message goes next."""

from datetime import UTC, datetime

import pytest
from pamqp import encode

from messaging.envelope import Envelope, Poison
from messaging.outcome import Reject, Retry
from messaging.retry import RetryPolicy, failure_headers

TIERS = ("1s", "5s")


class GatewayDown(Retry):
    """A failure that passes."""


def envelope(attempt: int, **headers: object) -> Envelope:
    """A message that failed so often."""
    return Envelope("payment.order.created", redrive=0, attempt=attempt, redelivered=False, headers=headers)


@pytest.mark.parametrize("error", [GatewayDown("x"), OSError("x"), KeyError("a bug")], ids=repr)
def test_tiers_are_used_in_order_and_then_it_is_parked(error: Exception) -> None:
    """Whatever passes, or needs a deploy, is tried after each tier in turn, and parked at the end."""
    policy = RetryPolicy(TIERS)
    assert [policy.next_tier(envelope(attempt), error) for attempt in range(3)] == ["1s", "5s", None]


@pytest.mark.parametrize("error", [Reject("no"), Poison("no")], ids=repr)
def test_what_no_retry_can_help_is_parked_at_once(error: Exception) -> None:
    """A reasoned no takes no tier."""
    assert RetryPolicy(TIERS, never_park=True).next_tier(envelope(0), error) is None


def test_a_compensation_is_never_parked_for_a_passing_failure() -> None:
    """It stays in the last tier for as long as it takes; a bug in it is parked, for a person to see."""
    policy = RetryPolicy(TIERS, never_park=True)
    assert policy.next_tier(envelope(99), GatewayDown("x")) == "5s"
    assert policy.next_tier(envelope(99), KeyError("a bug")) is None


def test_a_failure_is_noted_in_headers() -> None:
    """Attempts are counted, first and last failure are kept, and the broker's own history is dropped."""
    old: dict[str, object] = {
        "x-first-failure": "then",
        "x-death": [],
        "x-first-death-queue": "q",
        "traceparent": "t",
        "x-redrive": 2,
    }
    headers = failure_headers(envelope(1, **old), GatewayDown("no answer"))
    assert datetime.fromisoformat(headers.pop("x-last-failure")) <= datetime.now(UTC)
    assert headers == {
        "x-first-failure": "then",
        "traceparent": "t",
        "x-redrive": 2,
        "x-attempt": 2,
        "x-error-class": "GatewayDown",
        "x-error-reason": "no answer",
    }


def test_a_bug_says_where_it_is() -> None:
    """The reason of an unexpected error names the place in the code."""
    with pytest.raises(KeyError) as bug:
        dict[str, int]()["amount"]
    reason = failure_headers(envelope(0), bug.value)["x-error-reason"]
    assert reason.startswith("'amount' (at test_a_bug_says_where_it_is, line ")


def test_what_cannot_be_written_is_left_out() -> None:
    """Text that is no UTF-8 and numbers beyond a header's room do not keep a message from its place, under any name."""
    odd = {"x-first-failure": 1e300, "raw": b"\xff", "kept": "text"}
    headers = failure_headers(envelope(0, **odd), GatewayDown("no answer"))
    assert headers["kept"] == "text"
    assert encode.field_table(headers)
