"""The four services, without a broker between them."""

from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest_asyncio

from tests.machine.processes import SERVICES
from tests.machine.world import World


@pytest_asyncio.fixture
async def world(clone_database: Callable[[str], Awaitable[str]]) -> AsyncGenerator[World]:
    """The services, with nothing ordered yet."""
    async with World.opened({name: await clone_database(name) for name in SERVICES}) as opened:
        yield opened
