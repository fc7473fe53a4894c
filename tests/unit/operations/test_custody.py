"""What is stored of a dead letter."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from messaging.collector import DeadLetter
from operations.custody import arrival

ORDER, OTHER = UUID("00000000-0000-4000-8000-00000000000a"), UUID("00000000-0000-4000-8000-00000000000b")
OF_THE_ORDER = json.dumps({"order_id": str(ORDER)}).encode()


@pytest.mark.parametrize(
    ("body", "correlation_id", "order_id"),
    [
        (OF_THE_ORDER, str(OTHER), ORDER),
        (OF_THE_ORDER, None, ORDER),
        (b"{}", str(OTHER), OTHER),
        (b"no JSON", str(OTHER), OTHER),
        (b'{"order_id": 7}', "no id", None),
    ],
)
def test_the_order_is_the_one_that_the_body_names(
    body: bytes, correlation_id: str | None, order_id: UUID | None
) -> None:
    """A message without a correlation id is parked with one that was made up; it counts if the body names no order."""
    letter = DeadLetter("payment.order.created.dlq", body, {}, "payment.order.created", correlation_id=correlation_id)
    assert arrival(letter, datetime.now(UTC)).row["order_id"] == order_id


def test_what_belongs_to_no_order_names_none() -> None:
    """A receipt of goods is correlated with itself."""
    queue, itself = "inventory.stock.received", str(OTHER)
    letter = DeadLetter(f"{queue}.dlq", b"{}", {}, queue, message_id=itself, correlation_id=itself)
    assert arrival(letter, datetime.now(UTC)).row["order_id"] is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"version": NaN}',
        rb'{"name": "\ud800"}',
        b"[" * 2_000 + b"]" * 2_000,
        b"[" * 500 + b"]" * 500,
        b"\xef\xbb\xbf{}",
        b'{"a": 1e999}',
    ],
)
def test_what_no_strict_reader_takes_is_kept_as_bytes(body: bytes) -> None:
    """Whoever looks at a dead letter gets an answer: what is kept as JSON can be shown as JSON."""
    row = arrival(DeadLetter("payment.order.created.dlq", body, {}, "payment.order.created"), datetime.now(UTC)).row
    assert (row["body"], row["raw"]) == (None, body)
