"""I7 is judged by what clients saw and what is stored: each kind of breach is found, and what is allowed is not."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from tests.invariants.books import Books, Order
from tests.invariants.conftest import World
from tests.invariants.expectations import Violation
from tests.invariants.history import Answer, ask, read, write
from tests.invariants.rules import one_order_a_key
from tests.invariants.world import CANCELLED, EXPECTED, READY, UNKNOWN

FIRST = Answer("k", "a", 201, READY, 1.0, 2.0)
AGAIN = replace(FIRST, sent=3.0, answered=4.0)
OTHER = replace(AGAIN, digest="b", status=422, order_id=None)
BESIDE = replace(FIRST, status=409, order_id=None, sent=1.5, answered=1.7)


def stored(*keys: str) -> Books:
    """Orders by these customers, and nothing else."""
    orders = {
        str(number): Order(str(number), "ready", key, "EUR", 1, {}, frozenset()) for number, key in enumerate(keys)
    }
    return Books(orders, [], {}, [], {}, {}, {}, {}, [], [], [], [])


ALLOWED = {
    "once": [FIRST],
    "repeated": [FIRST, AGAIN],
    "another body is refused": [FIRST, OTHER],
    "fifty at once": [FIRST, *[BESIDE] * 49],
    "another body at once": [FIRST, replace(BESIDE, digest="b")],
    "while one that nobody answered may be worked on": [
        FIRST,
        replace(AGAIN, status=None, order_id=None),
        replace(AGAIN, status=409, order_id=None, sent=50.0, answered=51.0),
    ],
    "unavailable": [FIRST, replace(AGAIN, status=503, order_id=None)],
    "invalid": [replace(FIRST, status=422, order_id=None), replace(AGAIN, digest="b")],
    "no keys": [replace(FIRST, key=None), replace(AGAIN, key=None, order_id=CANCELLED)],
}


@pytest.mark.parametrize("history", ALLOWED.values(), ids=ALLOWED)
def test_what_a_key_promises_is_no_violation(history: Sequence[Answer]) -> None:
    """The first answer again, a refusal of another body, a conflict while one is under way, and silence are allowed."""
    assert list(one_order_a_key(stored("k"), history)) == []


PLANTS = {
    "two orders": (
        [FIRST, replace(AGAIN, order_id=CANCELLED)],
        f"key k was answered with 2 orders: {READY}, {CANCELLED}",
    ),
    "another body is accepted": ([FIRST, replace(AGAIN, digest="b")], "key k was accepted with different bodies"),
    "a repetition is refused": (
        [FIRST, replace(AGAIN, status=422, order_id=None)],
        "key k was accepted, its repetition was answered 422",
    ),
    "another body is taken for the first": (
        [FIRST, replace(OTHER, status=404)],
        "key k was accepted, another body was answered 404",
    ),
    "a conflict with nobody": (
        [FIRST, replace(AGAIN, status=409, order_id=None)],
        "key k was accepted, its repetition was answered 409",
    ),
}


@pytest.mark.parametrize(("history", "message"), PLANTS.values(), ids=PLANTS)
def test_a_broken_promise_is_found(history: Sequence[Answer], message: str) -> None:
    """Each way in which the answers under one key can contradict each other is a sentence that names the key."""
    assert list(one_order_a_key(stored("k"), history)) == [Violation("I7", message)]


def test_a_second_stored_order_is_found() -> None:
    """Two orders in the database for one key are found even if the client was told of neither."""
    silent = replace(FIRST, status=None, order_id=None)
    assert list(one_order_a_key(stored("k", "k"), [silent])) == [Violation("I7", "2 orders are stored for key k")]


async def test_an_order_of_the_history_that_is_not_stored_is_lost(world: World) -> None:
    """What a client was told of and the database does not have is found; what nobody answered may be missing."""
    history = [FIRST, replace(FIRST, key="l", order_id=UNKNOWN), replace(FIRST, key="m", status=None, order_id=None)]
    found = await world.checker.violations(EXPECTED, history=history)
    assert found == [Violation("I1", f"order {UNKNOWN} was accepted and is not stored")]


def test_a_history_is_kept_as_json_lines(tmp_path: Path) -> None:
    """What is written is read again."""
    history = [FIRST, replace(FIRST, key=None, status=None, order_id=None)]
    write(history, tmp_path / "history.jsonl")
    assert read(tmp_path / "history.jsonl") == history


@asynccontextmanager
async def shop(answer: httpx2.Response | None) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of a shop that answers so to an order under a key, or not at all."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        assert (request.url.path, request.headers["Idempotency-Key"], request.content) == ("/orders", "k", b'{"a": 1}')
        if answer is None:
            raise httpx2.ReadTimeout("planted", request=request)
        return answer

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(handle), base_url="http://test") as http:
        yield http


async def test_what_a_client_sees_is_recorded() -> None:
    """An order, a refusal and silence become records; a body has one digest, whatever the order of its fields."""
    async with shop(httpx2.Response(201, json={"order_id": READY})) as http:
        accepted = await ask(http, {"a": 1}, "k")
    assert (accepted.status, accepted.order_id, accepted.accepted, accepted.indeterminate) == (201, READY, True, False)
    async with shop(httpx2.Response(422, json={})) as http:
        refused = await ask(http, {"a": 1}, "k")
    assert (refused.status, refused.order_id, refused.accepted, refused.digest) == (422, None, False, accepted.digest)
    async with shop(None) as http:
        lost = await ask(http, {"a": 1}, "k")
    assert (lost.status, lost.accepted, lost.indeterminate, lost.ended) == (None, False, True, float("inf"))
    assert accepted.sent <= accepted.answered == accepted.ended
