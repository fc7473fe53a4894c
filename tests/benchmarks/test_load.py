"""Customers of `./run load`: what they do is drawn, how many come is a function of time, what is wrong is said."""

import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from faststream.rabbit import TestRabbitBroker
from pydantic import ValidationError

from benchmarks.load import __main__ as command
from benchmarks.load.journal import Journal, Line, Reader
from benchmarks.load.outcome import OUT_OF_STOCK, Depths, Outcome, Requests, Stand, read_stands, requests_of
from benchmarks.load.run import LoadRun, Plan
from benchmarks.load.shapes import SHAPES, ShapeName
from benchmarks.load.visits import DECLINED, WATCHING, Visit, visit
from contracts import CancelReason
from devstack.endpoints import Endpoints
from devstack.errors import StackError
from devstack.orders import order_body
from devstack.paths import CHECKOUT
from messaging.service import Service
from order_api.app import build, create_api
from order_api.schemas import PlaceOrder
from order_api.seed import listings, seed
from order_api.settings import Settings
from payment.simulator import TestToken
from rest import keys
from rest.callers import Scope

SKUS = ("MUG-01", "TEE-01", "CAP-01")
MANY = 4_000

GOOD = Outcome(
    lines=(
        Line("a", endings=("ready",)),
        Line("b", endings=("rejected",)),
        Line("c", endings=("ready", "cancelled")),
        Line("d", endings=("ready",)),
    ),
    stands={
        "a": Stand("ready", None, settled=True, seconds=0.2),
        "b": Stand("rejected", "card_declined", settled=True, seconds=0.1),
        "c": Stand("cancelled", "customer", settled=True, seconds=0.4),
        "d": Stand("cancelled", OUT_OF_STOCK, settled=True, seconds=0.3),
    },
    requests=(Requests("POST /orders", 4, 0, {10: 3, 50: 1}),),
    depths=Depths({}, 0),
)


def visits(seed: int) -> list[Visit]:
    """The first visits of a customer."""
    rng = random.Random(seed)  # noqa: S311 - what customers order need not be secret
    return [visit(rng, SKUS) for _ in range(MANY)]


def test_the_same_seed_makes_the_same_customers() -> None:
    """And another one others."""
    assert visits(1) == visits(1)
    assert visits(1) != visits(2)


def test_customers_do_what_the_page_says() -> None:
    """Of a hundred visits so many browse, are declined, repeat and cancel; and so many follow their order how."""
    page = (CHECKOUT / "docs" / "howto" / "load-test.md").read_text()
    browse, declined, repeat, cancel = (int(share) for share in re.findall(r"^\| (\d+) \|", page, re.MULTILINE))
    told = re.search(r"^\| (\d+), (\d+), (\d+) \|", page, re.MULTILINE)
    assert told
    drawn = visits(3)

    def share(true: Callable[[Visit], bool]) -> float:
        return 100 * sum(map(true, drawn)) / MANY

    assert share(lambda each: each.browses) == pytest.approx(browse, abs=3)
    assert share(lambda each: each.token in DECLINED) == pytest.approx(declined, abs=1.5)
    assert share(lambda each: each.repeats) == pytest.approx(repeat, abs=2)
    assert share(lambda each: each.cancels) == pytest.approx(cancel, abs=1.5)
    for watching, wanted in zip(WATCHING, map(int, told.groups()), strict=True):
        assert share(lambda each, watching=watching: each.watching is watching) == pytest.approx(wanted, abs=3)


def test_every_wish_is_one_that_the_api_takes() -> None:
    """No order is refused for its form; the first product is wanted most; cards are the simulated gateway's."""
    wanted = Counter[str]()
    for each in islice(visits(4), 200):
        wanted.update(item.sku for item in PlaceOrder.model_validate(each.wish).items)
        assert each.token in set(TestToken)
    assert [sku for sku, _ in wanted.most_common()] == list(SKUS)
    with pytest.raises(ValidationError):
        PlaceOrder.model_validate(replace(visits(4)[0], items=(("MUG-01", 0),)).wish)


@pytest.mark.parametrize("name", ShapeName)
def test_a_shape_has_customers_from_its_first_second_to_its_last(name: ShapeName) -> None:
    """At least one, never more than were asked for, all of them at some moment, and none when the time is over."""
    shape = SHAPES[name]
    counts = [shape.users_at(second / 10, users=40, seconds=60) for second in range(600)]
    present = [count for count in counts if count is not None]
    assert len(present) == len(counts)
    assert min(present) >= 1
    assert max(present) == 40
    assert shape.users_at(60, users=40, seconds=60) is None


def test_shapes_differ_as_they_say() -> None:
    """Steady stays; a spike is four times as many for a fifth of the run; a soak goes down to half and up again."""

    def at(name: ShapeName, *seconds: float) -> list[int | None]:
        return [SHAPES[name].users_at(second, users=40, seconds=100) for second in seconds]

    assert at(ShapeName.STEADY, 10, 50, 99) == [40, 40, 40]
    assert at(ShapeName.SPIKE, 39, 40, 59, 60, 99) == [10, 40, 40, 10, 10]
    assert at(ShapeName.SOAK, 31.25, 43.75, 56.25, 68.75) == [40, 20, 40, 20]


def test_a_journal_is_read_while_it_is_written(tmp_path: Path) -> None:
    """Whole lines only, each once."""
    reader, lines = Reader(tmp_path / "orders.jsonl"), [Line("a", endings=("ready",)), Line("a", wrong="two orders")]
    try:
        journal = Journal(tmp_path / "orders.jsonl")
        journal.write(lines[0])
        assert list(reader.new()) == lines[:1]
        with (tmp_path / "orders.jsonl").open("a") as beside:
            beside.write('{"order_id": "a", ')
            beside.flush()
            assert list(reader.new()) == []
            beside.write('"endings": [], "wrong": "two orders"}\n')
        assert list(reader.new()) == lines[1:]
        journal.close()
    finally:
        reader.close()


def test_nobody_complains_of_a_good_run() -> None:
    """Declined, cancelled on request and out of stock are ends that an order may have."""
    assert GOOD.complaints == []
    assert GOOD.endings == {"ready": 1, "rejected": 1, "cancelled": 1, "cancelled, out of stock": 1}
    assert OUT_OF_STOCK == CancelReason.OUT_OF_STOCK


PLANTED = {
    "no order was accepted": replace(GOOD, lines=(), stands={}),
    "lost: d": replace(GOOD, stands={key: stand for key, stand in GOOD.stands.items() if key != "d"}),
    "not finished: a": replace(GOOD, stands={**GOOD.stands, "a": Stand("reserved", None, settled=False, seconds=0.1)}),
    "wrong: a ended cancelled, not ready": replace(
        GOOD, stands={**GOOD.stands, "a": Stand("cancelled", "deadline", settled=True, seconds=9)}
    ),
    "wrong: two orders under one key": replace(GOOD, lines=(*GOOD.lines, Line("a", wrong="two orders under one key"))),
    "requests that failed: POST /orders 1": replace(GOOD, requests=(Requests("POST /orders", 4, 1, {}),)),
    "left in queues: payment.order.created 2": replace(GOOD, depths=Depths({"payment.order.created": 2}, 0)),
    "dead letters: 1 (./run dlq groups)": replace(GOOD, depths=Depths({}, 1)),
}


@pytest.mark.parametrize(("complaint", "outcome"), PLANTED.items(), ids=PLANTED)
def test_what_is_wrong_is_said_and_is_the_exit_status(
    complaint: str,
    outcome: Outcome,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Each kind of wrong alone makes the status 1, and is named."""
    assert outcome.complaints == [complaint]
    assert status(outcome, monkeypatch, tmp_path) == 1
    assert complaint in capsys.readouterr().out


def test_a_good_run_has_status_zero(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its summary has rates and latencies, and says that all is well."""
    assert status(GOOD, monkeypatch, tmp_path) == 0
    told = capsys.readouterr().out
    assert "p50 200 ms, p99 400 ms" in told
    assert re.search(r"POST /orders +4 +0 +10 +50", told)
    assert "Every accepted order ended as it should" in told


def status(outcome: Outcome, monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    """What `./run load` ends with after a run that came to this."""
    endpoints = Endpoints("http://api", "", "amqp://broker", "http://management", {}, {})
    monkeypatch.setattr(command, "STACK", folder)
    monkeypatch.setattr(command, "FOLDER", folder / "load")
    monkeypatch.setattr(command, "python_with", giving(sys.executable))
    monkeypatch.setattr(command, "stack_for", giving((endpoints, giving(None))))
    monkeypatch.setattr(LoadRun, "run", giving(outcome))
    ended = command.app(["--seconds", "5"], standalone_mode=False)
    return int(ended or 0)


def giving(what: object) -> Callable[..., object]:
    """A function that gives this, whatever it is asked."""

    def give(*_: object) -> object:
        return what

    return give


def test_a_broker_that_does_not_tell_its_queues_is_an_error_at_once(tmp_path: Path) -> None:
    """Before any customer comes."""
    endpoints = Endpoints("http://api", "", "amqp://broker", None, {}, {})
    with pytest.raises(StackError, match="no management API"):
        LoadRun(endpoints, Plan(ShapeName.STEADY, 1, 5, 0), tmp_path, command.Console())


def test_locust_s_statistics_are_read() -> None:
    """Of each kind of request, sorted: how often, how often in vain, and how long it took."""
    statistics: list[dict[str, Any]] = [
        {
            "name": "/orders",
            "method": "POST",
            "num_requests": 3,
            "num_failures": 1,
            "response_times": {"12": 2, "110.0": 1},
        },
        {"name": "order to final", "method": "FLOW", "num_requests": 0, "num_failures": 0, "response_times": {}},
    ]
    assert requests_of(statistics) == [
        Requests("FLOW order to final", 0, 0, {}),
        Requests("POST /orders", 3, 1, {12: 2, 110: 1}),
    ]


@pytest.mark.database
async def test_where_orders_stand_is_read_from_the_database(run_in_memory: Callable[..., Awaitable[Service]]) -> None:
    """A known order with its status and since when; an unknown one is left out."""
    service = await run_in_memory(build, Settings)
    await seed(service.database, listings())
    key = {"Authorization": f"Bearer {await keys.create(service.database, 'storefront', set(Scope))}"}
    transport = httpx2.ASGITransport(app=create_api(service, Settings()))
    async with (
        TestRabbitBroker(service.broker),
        httpx2.AsyncClient(transport=transport, base_url="http://test", headers=key) as http,
    ):
        order_id = (await http.post("/orders", json=order_body())).json()["order_id"]
        stands = await read_stands(service.settings.database_url.get_secret_value(), [order_id, str(uuid4())])
    assert set(stands) == {order_id}
    stand = stands[order_id]
    assert (stand.status, stand.reason, stand.settled) == ("pending", None, False)
    assert 0 <= stand.seconds < 60


def test_the_image_holds_all_that_customers_are_made_of(tmp_path: Path) -> None:
    """What deploy/Dockerfile copies is let into the build, and needs nothing of this checkout besides."""
    stage = (CHECKOUT / "deploy" / "Dockerfile").read_text().partition("FROM tool AS load")[2].partition("FROM ")[0]
    copied = re.findall(r"benchmarks/[\w/]+\.py\b", stage.partition("CMD")[0])
    allowed = (CHECKOUT / ".dockerignore").read_text().splitlines()
    for path in copied:
        assert f"!{path}" in allowed
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / path, tmp_path / path)
    assert "benchmarks/locustfile.py" in copied
    needed = re.findall(
        r"^from (benchmarks[\w.]+) import", (CHECKOUT / "benchmarks" / "locustfile.py").read_text(), re.MULTILINE
    )
    assert needed
    alone = [sys.executable, "-S", "-c", f"import {', '.join(needed)}"]
    done = subprocess.run(alone, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stderr == ""
