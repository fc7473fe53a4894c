"""Bugs planted in the running services are caught by the checker; the same orders and crashes without them are not."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from devstack.paths import CHECKOUT
from devstack.ports import any_free_port
from devstack.servers import PostgresServer, RabbitServer
from devstack.services import API, CONSUMERS, Wiring
from messaging.asyncapi import reading
from messaging.declare import apply
from tests.broker.rabbit import virtual_host
from tests.e2e.system import ENVIRONMENT, TIERS, System, narrowed
from tests.faults.planted.broken import LAUNCHER, Broken
from tests.faults.planted.provocation import CARD, Provocation, deliver_again
from tests.invariants.checker import Checker, NotDrained
from tests.invariants.conftest import execute
from tests.invariants.disclosure import Places, Secret, disclosed
from tests.invariants.expectations import Invariant, Violation

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.private("its services are started by a launcher of its own"),
]

NAMES = (API, *CONSUMERS)
NO_CONTROL_ROOM = Violation("I6", "nobody consumes operations.replay.handled")
"""Nothing is replayed here."""
SLOW_TIERS = {"PAYMENT_RETRY_TIERS": ",".join(["400ms"] * 4)}
"""A cancellation overtakes an authorization that waits in them."""
PATIENCE, LITTLE_PATIENCE = 40.0, 8.0
"""Seconds for all orders to end; and where it is known that some never do."""

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Bug:
    """What is planted, what brings it out, and what is to be found."""

    service: str
    planted: str
    invariant: Invariant
    message: str
    crash: str | None = None
    """What kills the service once."""
    loses: bool = False
    """Whether some orders never end."""
    repeats: bool = False
    """Whether every event is delivered again."""
    statements: Mapping[str, str] = field(default_factory=dict[str, str])
    """Changes of databases ahead of it: a second guard that is not there."""


BUGS = {
    "acknowledged before the commit": Bug(
        "payment",
        "kernel.acknowledges_first",
        "I5",
        "never reached payment.order.created",
        crash="group.commit.before:3",
        loses=True,
    ),
    "published before the commit": Bug(
        "order_api",
        "kernel.publishes_before_committing",
        "I2",
        "which is no order",
        crash="kernel.dies_before_committing",
    ),
    "no inbox and no row check": Bug(
        "inventory", "kernel.repeats_have_effects", "I3", "its orders or receipts explain", repeats=True
    ),
    "void without a fence": Bug("payment", "payment.voids_without_a_fence", "I2", "is over, its money still held"),
    "lost release": Bug("inventory", "inventory.forgets_to_release", "I3", "its orders or receipts explain 0"),
    "marked as sent before it is published": Bug(
        "payment", "kernel.marks_before_publishing", "I5", "payment.", crash="event.publish.before:6", loses=True
    ),
    "acknowledged before the tier has it": Bug(
        "shipping",
        "kernel.acknowledges_before_retrying",
        "I5",
        "never reached shipping.inventory.reserved",
        crash="retry.publish.before:1",
        loses=True,
    ),
    "idempotency key ignored": Bug(
        "order_api", "order_api.ignores_the_key", "I7", "orders are stored for key repeated"
    ),
    "secret in a log line": Bug(
        "payment", "payment.logs_the_token", "I9", "the card's number is in the log payment.log"
    ),
    "dead letter dropped": Bug(
        "payment", "kernel.drops_dead_letters", "I5", "never reached payment.order.created", loses=True
    ),
    "captured twice": Bug(
        "payment", "payment.charges_under_a_new_key_each_time", "I2", "has 3 accounts at the gateway", repeats=True
    ),
    "sold without a look at the stock": Bug(
        "inventory",
        "inventory.sells_what_is_not_there",
        "I3",
        "less than none available",
        statements={"inventory": "ALTER TABLE stock DROP CONSTRAINT available_not_negative"},
    ),
}
AT_ONCE = ("idempotency key ignored", "secret in a log line", "lost release")
"""Bugs of three services, found together without a crash: what the default suite runs."""

CRASHES = {
    "order_api": ["kernel.dies_before_committing"],
    "payment": ["group.commit.before:3", "event.publish.before:6"],
    "shipping": ["retry.publish.before:1"],
}
"""All that kills services above, in one run."""

Opened = Callable[..., AbstractAsyncContextManager[Broken]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(
    rabbitmq_server: RabbitServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Opened:
    """Opens systems, each on a virtual host and databases of its own, with these bugs and crashes."""
    folder: Path = tmp_path_factory.mktemp("planted")
    wiring = Wiring(
        amqp_url=await virtual_host(rabbitmq_server),
        databases={name: postgres_server.create_database(f"bugs_{name}") for name in NAMES},
        http_ports={name: any_free_port() for name in NAMES},
        extra=ENVIRONMENT,
    )
    await System(wiring, rabbitmq_server.management_url, folder / "original").prepare(NAMES)

    @asynccontextmanager
    async def opening(
        planted: Mapping[str, str], crashes: Mapping[str, Sequence[str]], statements: Mapping[str, str]
    ) -> AsyncGenerator[Broken]:
        number = next(_numbers)
        given = Wiring(
            amqp_url=await virtual_host(rabbitmq_server),
            databases={
                name: postgres_server.create_database(f"planted_{number}_{name}", template=f"bugs_{name}")
                for name in NAMES
            },
            http_ports={name: any_free_port() for name in NAMES},
            extra=ENVIRONMENT | SLOW_TIERS,
            api_keys=wiring.api_keys,
        )
        await apply(reading.read_topology().with_tiers(TIERS.split(",")), given.amqp_url)
        for service, changes in statements.items():
            await execute(given.databases[service], changes)
        system = Broken(given, rabbitmq_server.management_url, folder / f"logs-{number}", bugs=planted, crashes=crashes)
        try:
            system.folder.mkdir()
            system.narrow = await narrowed(given, system.management_url, NAMES)
            await system.start(NAMES)
            yield system
        finally:
            system.kill()

    return opening


async def provoked(system: Broken, *, repeats: bool, loses: bool) -> list[Violation]:
    """Place the orders, wait until nothing moves, and return all violations."""
    wiring = system.wiring
    checker = Checker(wiring.databases, wiring.amqp_url, system.management_url)
    async with httpx2.AsyncClient(base_url=system.api, timeout=15, headers=system.authorization) as http:
        provocation = Provocation(http)
        keeping = asyncio.create_task(system.keep_alive())
        await provocation.run()
        await keeping
    if loses:
        with suppress(NotDrained):
            await checker.drain(LITTLE_PATIENCE)
    else:
        await checker.drain(PATIENCE)
    if repeats:
        await deliver_again(wiring.amqp_url, wiring.databases, checker, provocation)
        await checker.drain(PATIENCE)
    found = await checker.violations(provocation.endings, provocation.parked, provocation.history)
    found.remove(NO_CONTROL_ROOM)
    places = Places(wiring.databases, system.folder, system.wiring.addresses)
    return [*found, *await disclosed(places, Secret.card(CARD), Secret("the client's key", wiring.api_keys["client"]))]


def is_found(bug: Bug, found: Sequence[Violation]) -> bool:
    """Whether the bug's violation is among them."""
    return any(each.invariant == bug.invariant and bug.message in each.message for each in found)


async def test_bugs_of_three_services_are_found_in_one_run(opened: Opened) -> None:
    """A key that is ignored, a token in a log and a release that is forgotten are each named by the right invariant."""
    planted = {BUGS[name].service: BUGS[name].planted for name in AT_ONCE}
    async with opened(planted, {}, {}) as system:
        found = await provoked(system, repeats=False, loses=False)
    assert [name for name in AT_ONCE if not is_found(BUGS[name], found)] == [], found
    assert {each.invariant for each in found} == {BUGS[name].invariant for name in AT_ONCE}


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
async def test_a_planted_bug_is_found(opened: Opened, bug: Bug) -> None:
    """Each bug, alone in one service, is found by the invariant that it breaks."""
    crashes = {bug.service: [bug.crash]} if bug.crash else {}
    async with opened({bug.service: bug.planted}, crashes, bug.statements) as system:
        found = await provoked(system, repeats=bug.repeats, loses=bug.loses)
    assert is_found(bug, found), found


@pytest.mark.slow
async def test_without_a_bug_nothing_is_found(opened: Opened) -> None:
    """The same orders, with every crash and every repetition, and no bug: no violation."""
    async with opened({}, CRASHES, {}) as system:
        assert await provoked(system, repeats=True, loses=False) == []
        assert system.deaths == {service: len(lives) for service, lives in CRASHES.items()}


def test_every_bug_can_be_planted() -> None:
    """What the bugs replace is still there under its name."""
    planted = {bug.planted for bug in BUGS.values()} | {
        bug.crash for bug in BUGS.values() if "kernel" in str(bug.crash)
    }
    command = [sys.executable, "-m", LAUNCHER, ",".join(sorted(map(str, planted))), "json.tool", "--help"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert "json" in done.stdout
