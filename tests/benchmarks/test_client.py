"""The load generator: when it sends, from when it counts, and what it makes of answers."""

import asyncio
import json
from collections import Counter

import pytest

from benchmarks import client
from benchmarks.client import arrivals
from benchmarks.products import baskets, products, wish
from devstack.errors import StackError
from tests.benchmarks.api import ACCEPTED, serving


def test_independent_customers_come_at_the_wanted_rate_and_the_same_for_a_seed() -> None:
    """Poisson arrivals: in order, within the time, about as many as asked for, and repeatable."""
    moments = arrivals(rate=100, seconds=20, seed=7)
    assert moments == sorted(moments)
    assert moments[-1] < 20
    assert 1_800 < len(moments) < 2_200
    assert moments == arrivals(rate=100, seconds=20, seed=7) != arrivals(rate=100, seconds=20, seed=8)


@pytest.mark.parametrize("lines", [1, 3, 5, 100])
def test_each_product_is_ordered_equally_often(lines: int) -> None:
    """An order has as many lines as asked for, each of another product."""
    orders = baskets(lines)
    assert all(len(order) == len(set(order)) == lines for order in orders)
    counts = Counter(sku for order in orders for sku in order)
    assert len(set(counts.values())) == 1
    assert counts.keys() == products(lines).keys()


async def test_an_open_loop_sends_on_time_although_nothing_is_answered() -> None:
    """The second order is sent while the first waits for its answer."""
    both_came, came = asyncio.Event(), 0

    async def answer() -> bytes:
        nonlocal came
        came += 1
        if came == 2:
            both_came.set()
        await both_came.wait()
        return ACCEPTED

    async with asyncio.timeout(20), serving(answer) as api:
        placed = await api.open_loop([0, 0])
    assert len(placed.orders) == 2


async def test_a_latency_counts_from_when_the_order_should_have_been_sent() -> None:
    """An order that was due a second before it could be sent took that second, too."""

    async def answer() -> bytes:
        return ACCEPTED

    async with serving(answer) as api:
        placed = await api.open_loop([-1.0])
    assert placed.orders[0].answered >= 1.0


async def test_no_order_goes_by_a_connection_that_the_server_is_about_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was idle for nearly as long as servers keep one is replaced; any other is used again."""
    came: list[asyncio.Task[None] | None] = []

    async def answer() -> bytes:
        came.append(asyncio.current_task())
        return ACCEPTED

    async with serving(answer) as api:
        await api.open_loop([0, 0.2])
        monkeypatch.setattr(client, "MOST_IDLE", 0)
        await api.open_loop([0, 0.2])
    assert came[0] is came[1]
    assert came[2] is not came[3]


async def test_a_closed_loop_has_one_order_a_connection_in_flight() -> None:
    """Two connections: never are three orders being answered."""
    in_flight = most = 0

    async def answer() -> bytes:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0)
        in_flight -= 1
        return ACCEPTED

    async with serving(answer) as api:
        placed = await api.place(20, connections=2)
    assert (len(placed.orders), most) == (20, 2)


async def test_refused_orders_are_counted_by_status() -> None:
    """An answer that is no 201 is no order."""
    answers = [ACCEPTED, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"]

    async def answer() -> bytes:
        return answers.pop()

    async with serving(answer) as api:
        placed = await api.place(2, connections=1)
    assert (len(placed.orders), placed.refused) == (1, {"503": 1})


async def test_an_answer_that_cannot_be_read_is_an_error() -> None:
    """Its end is found by Content-Length alone; without one the loop would wait for ever."""

    async def answer() -> bytes:
        return b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"

    async with serving(answer) as api:
        with pytest.raises(StackError, match="Content-Length"):
            await api.place(1, connections=1)


async def test_a_request_says_what_the_api_asks_for() -> None:
    """The head has the given headers, the body is the whole order."""
    async with serving(_never) as api:
        head, _, body = api.request(json.dumps(wish(["MUG-01"])).encode()).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /orders HTTP/1.1\r\n")
    assert b"Authorization: Bearer key" in head
    assert json.loads(body)["items"] == [{"sku": "MUG-01", "quantity": 1}]


async def _never() -> bytes:
    raise AssertionError
