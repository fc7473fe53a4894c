"""Each rule of rules.py fires on a planted breach, leaves the proper way alone, and finds nothing in this checkout."""

import shutil
from pathlib import Path

import pytest

from tests.architecture import rules
from tests.architecture.rules import ROOT, check_source, check_tree

HANDLER = "async def handle(event: OrderCreated, db: Session) -> None:\n    "
EDGE_SOURCE = (ROOT / rules.EDGE).read_text()


def fired(path: str, source: str) -> set[str]:
    """Name the rules that a module breaks."""
    return {violation.rule for violation in check_source(path, source)}


def test_the_checkout_is_clean() -> None:
    """Nothing in this checkout breaks a house rule."""
    assert list(map(str, check_tree(ROOT))) == []


@pytest.mark.parametrize(
    ("path", "breach"),
    [
        ("payment/handlers.py", HANDLER + "await db.commit()"),
        ("payment/app.py", "publish = broker.publish"),
        ("messaging/relay.py", HANDLER + "await message.ack()"),
        ("messaging/relay.py", HANDLER + "await message.nack(requeue=True)"),
        ("shipping/undo.py", HANDLER + "await message.reject()"),
        ("contracts/event.py", "event.publish(broker)"),
        ("operations/replay.py", HANDLER + "await exchange.publish(message, routing_key=queue)"),
        ("messaging/unit.py", HANDLER + "await getattr(db, 'commit')()"),
        ("messaging/unit.py", HANDLER + "await db.execute(text('COMMIT;'))"),
        ("messaging/database.py", "engine = create_async_engine(url, isolation_level='AUTOCOMMIT')"),
        ("messaging/relay.py", "edge = session\nedge.commit()"),
    ],
)
def test_commit_publish_and_ack_fire_outside_the_edge(path: str, breach: str) -> None:
    """A commit, publish or ack outside messaging/edge.py is found, whoever says it and however."""
    assert fired(path, breach) == {"edge_calls"}


def test_the_edge_itself_and_its_callers_are_left_alone() -> None:
    """messaging/edge.py may commit, and others may through it."""
    assert fired("messaging/edge.py", EDGE_SOURCE) == set()
    assert fired("messaging/relay.py", f"from messaging import edge\n{HANDLER}await edge.commit(db, step)") == set()


@pytest.mark.parametrize("block", ["db.begin()", "self._database.engine.begin()", "connection.transaction()"])
def test_a_transaction_of_its_own_fires(block: str) -> None:
    """A block that commits by itself is found, but for the places outside our units of work."""
    breach = f"async def work():\n    async with {block}:\n        ..."
    assert fired("shipping/undo.py", breach) == {"own_transactions"}
    assert fired("rest/keys.py", breach) == set()
    assert fired("payment/migrations/env.py", breach) == set()


@pytest.mark.parametrize("path", rules.TRANSACTIONS_OF_THEIR_OWN)
def test_every_exemption_is_needed(path: str) -> None:
    """A place that may have transactions of its own has one; elsewhere the same source fires."""
    also = {"edge_calls"} if path == str(rules.TRANSACTION) else set[str]()
    assert fired("payment/elsewhere.py", (ROOT / path).read_text()) == {"own_transactions"} | also


@pytest.mark.parametrize("call", ["transaction.commit", "publisher.publish", "message.ack"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_lost_crash_point_fires(call: str, side: str) -> None:
    """An edge that loses its crash point, on either side, is found."""
    head, found, tail = EDGE_SOURCE.partition(f"await {call}(")
    assert found
    if side == "before":
        head = "crash_point(name)".join(head.rsplit(head[head.rindex("crash_point(") :].partition("\n")[0], 1))
    else:
        start = tail.index("crash_point(")
        tail = tail[:start] + "crash_point(name)" + tail[tail.index("\n", start) :]
    assert fired("messaging/edge.py", head + found + tail) == {"crash_points"}


def test_the_crash_points_of_two_steps_are_no_pair() -> None:
    """The point ahead and the point behind must be of one step."""
    breach = 'async def send(m):\n    crash_point("a.before")\n    await m.ack()\n    crash_point("b.after")'
    assert fired("messaging/edge.py", breach) == {"crash_points"}
    assert fired("messaging/edge.py", breach.replace("b.after", "a.after")) == set()


@pytest.mark.parametrize(
    ("path", "lost"),
    [
        ("messaging/pipeline.py", 'edge.crash_point(f"{edge.Step.PREPARE}.before")'),
        ("messaging/pipeline.py", 'edge.crash_point(f"{edge.Step.PREPARE}.after")'),
        ("messaging/remote.py", 'edge.crash_point(f"{edge.Step.REMOTE_CALL}.before")'),
        ("messaging/remote.py", 'edge.crash_point(f"{edge.Step.REMOTE_CALL}.after")'),
    ],
)
def test_a_remote_call_without_its_crash_point_fires(path: str, lost: str) -> None:
    """A remote call that loses its crash point, on either side, is found."""
    source = (ROOT / path).read_text()
    assert lost in source
    assert fired(path, source.replace(lost, "...")) == {"crash_points"}
    assert fired(path, source) == set()


@pytest.mark.parametrize(
    ("path", "breach"),
    [
        ("payment/handlers.py", "QUEUE = 'orders.anything'"),
        ("payment/domain.py", "QUEUE = 'payment.order.created'"),
        ("payment/app.py", "EXCHANGE = 'orders.events'"),
        ("messaging/courier.py", "tier = f'orders.retry.{delay}'"),
        ("messaging/courier.py", "parked = f'{queue}.dlq'"),
    ],
)
def test_a_name_of_the_topology_fires(path: str, breach: str) -> None:
    """An exchange or queue that is named outside messaging/topology.py is found."""
    assert fired(path, breach) == {"topology_names"}


def test_a_table_and_a_docstring_are_no_names_of_the_topology() -> None:
    """`orders.order_id` in models is a column, and prose may mention a queue."""
    assert fired("order_api/models.py", "KEY = 'orders.order_id'") == set()
    assert fired("payment/app.py", '"""orders.events"""') == set()


@pytest.mark.parametrize(
    "breach",
    [
        "try:\n    work()\nexcept:\n    raise",
        "try:\n    work()\nexcept Exception:\n    pass",
        "for _ in ():\n    try:\n        work()\n    except (OSError, BaseException):\n        continue",
        "def f():\n    try:\n        work()\n    except Exception:\n        return None",
        "with contextlib.suppress(Exception):\n    work()",
    ],
)
def test_a_swallowed_error_fires(breach: str) -> None:
    """An error that is caught whatever it is, and dropped, is found anywhere in the checkout."""
    assert fired("devstack/process.py", breach) == {"swallowed_errors"}


def test_named_errors_may_be_dropped() -> None:
    """Dropping an error that has a name is a decision."""
    assert fired("devstack/process.py", "with contextlib.suppress(ProcessLookupError):\n    work()") == set()


@pytest.mark.parametrize("breach", ["import orjson", "from uuid_utils import uuid7", "from messaging import edge"])
def test_contracts_that_need_more_than_pydantic_fire(breach: str) -> None:
    """An import in contracts of anything but pydantic and the standard library is found."""
    assert fired("contracts/event.py", breach) == {"pydantic_only"}
    assert fired("contracts/event.py", "from uuid import uuid5\nfrom pydantic import Field") == set()


@pytest.mark.parametrize(
    "signature", ["def f(x: Any) -> None: ...", "def f(**k: object) -> dict[str, typing.Any]: ..."]
)
def test_any_in_a_signature_fires(signature: str) -> None:
    """Any in a signature is found in contracts and in domain, and only there."""
    assert fired("contracts/values.py", signature) == {"no_any"}
    assert fired("shipping/domain.py", signature) == {"no_any"}
    assert fired("messaging/courier.py", signature) == set()


@pytest.mark.parametrize("path", ["messaging/utils.py", "tests/helpers.py", "messaging/common/names.py"])
def test_a_module_without_a_telling_name_fires(path: str) -> None:
    """utils, helpers and common are found."""
    assert fired(path, "") == {"telling_names"}


def test_a_breach_in_a_checkout_is_found_with_its_place(tmp_path: Path) -> None:
    """Checking a tree names file and line, and a service that lacks one of the common files."""
    for package in ("messaging", *rules.SERVICES):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    before = check_tree(tmp_path)
    (tmp_path / "payment/refunds.py").write_text("import asyncio\n\nasync def refund(db):\n    await db.commit()\n")
    (tmp_path / "shipping/domain.py").unlink()
    assert [str(violation) for violation in check_tree(tmp_path) if violation not in before] == [
        "payment/refunds.py:4: db.commit outside messaging/edge.py [edge_calls]",
        "shipping/domain.py:1: is missing [same_files]",
    ]
