"""The order API's own routes on a port of their own, and a browser that looks at them."""

import os
import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, async_playwright

from devstack.assets import Package, install
from devstack.errors import StackError
from devstack.node import find_node
from order_api.app import api
from tests.browser.chromium import ARGUMENTS, find_chromium
from tests.browser.needs import skip_unless_ci
from tests.browser.visits import HOST

AXE = Package(
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    ("axe.min.js",),
)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of the order API. No lifespan runs: nothing that is visited needs its database or broker."""
    listening = socket.create_server((HOST, 0))
    server = uvicorn.Server(uvicorn.Config(api, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield f"http://{HOST}:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="session")
def viewers() -> None:
    """Both viewers are installed."""
    try:
        install()
    except StackError as failure:
        skip_unless_ci("viewers", failure)


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker axe-core."""
    folder: Path = tmp_path_factory.mktemp("axe")
    try:
        AXE.fetch(folder)
    except StackError as failure:
        skip_unless_ci("axe-core", failure)
    return (folder / "axe.min.js").read_text(encoding="utf-8")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncGenerator[Browser]:
    """A headless Chromium without a past."""
    try:
        chromium = find_chromium()
    except StackError as failure:
        skip_unless_ci("Chromium", failure)
    with pytest.MonkeyPatch.context() as environment:
        # Playwright's own node needs a library that a small Debian lacks
        environment.setenv("PLAYWRIGHT_NODEJS_PATH", find_node().node)
        async with async_playwright() as playwright:
            launched = await playwright.chromium.launch(
                executable_path=chromium.program, args=ARGUMENTS, env={**os.environ, **chromium.environment}
            )
            yield launched
            await launched.close()
