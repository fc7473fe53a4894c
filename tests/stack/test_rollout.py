"""A new version takes over while customers order, and goes back again."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from devstack.services import SERVICES
from tests.e2e.conftest import Expected
from tests.invariants.books import ask
from tests.stack.docker import Project, docker
from tests.stack.load import under_load
from tests.stack.next.expand import ROW
from tests.stack.system import Composed

pytestmark = pytest.mark.stack("compose")

NEXT = Path(__file__).parent / "next" / "compose.yml"
ORDERS = 20
"""Accepted with each combination of versions."""
WRITTEN = "SELECT count(*) AS orders FROM {} WHERE next IS NOT NULL"


async def test_a_new_version_takes_over_under_load(
    system: Composed, expected: Expected, all_is_well: Callable[[], Awaitable[None]]
) -> None:
    """Its migration runs under the old version; then each service is replaced, and put back: nothing is lost or fails.

    Customers get no error but 503; what they ordered ends as it should, whichever version had it in hand.
    """
    this, following = system.project, replace(system.project, files=[*system.project.files, NEXT])
    for image in ("setup", *SERVICES):
        await asyncio.to_thread(build, f"orders-test-{image}")
    async with under_load(system, expected) as load:
        await load.more(ORDERS)
        await asyncio.to_thread(following.compose, "run", "--rm", "--no-deps", "setup")
        await load.more(ORDERS)
        for service in SERVICES:
            await asyncio.to_thread(roll, following, service)
            await load.more(ORDERS)
        written = {
            service: await ask(system.wiring.databases[service], WRITTEN.format(ROW[service])) for service in ROW
        }
        await asyncio.to_thread(this.up, "--no-deps", *SERVICES)
        await load.more(ORDERS)
    await all_is_well()
    assert all(answer[0][0]["orders"] for answer in written.values()), written


def build(image: str) -> None:
    """Make the next version of an image from this one."""
    docker("build", "--quiet", "--build-arg", f"BASE={image}", "--tag", f"{image}:next", str(NEXT.parent), seconds=120)


def roll(project: Project, service: str) -> None:
    """Replace a service's containers as docs/compose.md says; each that ends does so in good order."""
    told = project.shell(f"deploy/roll.sh {service}")
    assert set(re.findall(r"ended with status (\d+)", told)) in ({"0"}, {"143"}), told
