"""A visit to a page that has to go well: nothing complains in the console, and nothing is asked of another host."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request

HOST = "127.0.0.1"
_LOUD = {"error", "warning"}
_SERIOUS = {"serious", "critical"}
_WITHOUT_HOST = {"data", "blob", "file"}


@asynccontextmanager
async def visiting(browser: Browser, url: str, **options: Any) -> AsyncGenerator[Page]:
    """The page, loaded in a context of its own with these options; a complaint fails the block at its end."""
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in _LOUD:
            complaints.append(f"{message.type}: {message.text}")

    def asked(request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in _WITHOUT_HOST and address.hostname != HOST:
            complaints.append(f"request: {request.url}")

    context = await browser.new_context(**options)
    context.on("console", heard)
    context.on("weberror", lambda error: complaints.append(f"error: {error.error}"))
    context.on("request", asked)
    try:
        page = await context.new_page()
        await page.goto(url)
        yield page
    finally:
        await context.close()
    if complaints:
        raise AssertionError("\n".join(complaints))


async def violations(page: Page, axe: str, within: str = "html") -> list[str]:
    """What axe finds serious or critical within this part of the page, with the places."""
    await page.evaluate(axe)
    found: dict[str, Any] = await page.evaluate("part => axe.run(part, {resultTypes: ['violations']})", within)
    return [
        f"{each['id']}: {node['html']}"
        for each in found["violations"]
        if each["impact"] in _SERIOUS
        for node in each["nodes"]
    ]
