"""The viewers of both documents, from local files."""

import pytest
from playwright.async_api import Browser, expect

from devstack.paths import CHECKOUT
from messaging.asyncapi.reading import DOCUMENT, load
from order_api.app import api
from tests.browser.visits import visiting

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),  # the first one installs a browser
    pytest.mark.usefixtures("viewers"),
]


async def test_docs_shows_every_request(browser: Browser, site: str) -> None:
    """Swagger UI, from this host alone, lists what the OpenAPI document has; our page leads to it, and it back."""
    operations = [(method, path) for path, methods in api.openapi()["paths"].items() for method in methods]
    async with visiting(browser, f"{site}/asyncapi") as page:
        await page.get_by_role("link", name="REST documentation").click()
        await page.wait_for_url(f"{site}/docs")
        shown = page.locator(".opblock-summary")
        await expect(shown).to_have_count(len(operations))
        found = [
            "".join(each.split()).replace("\u200b", "")
            for each in await page.locator(".opblock-summary-path-description-wrapper").all_inner_texts()
        ]
        assert len(found) == len(operations)
        assert all(any(each.startswith(path) for each in found) for _, path in operations)
        await page.get_by_role("link", name="Events, queues and services").click()
        await page.wait_for_url(f"{site}/asyncapi")


async def test_asyncapis_viewer_shows_every_channel_of_a_service(browser: Browser, site: str) -> None:
    """Each channel that something is sent to or received from, and each dead-letter queue by name.

    The viewer has no place for a channel without operation, which is why there is a page of our own; each leads to
    the other.
    """
    document = load(CHECKOUT / DOCUMENT)
    operations = document["operations"].values()
    used = {each["channel"]["$ref"].rpartition("/")[2] for each in operations}
    parked = {
        each["x-deadLetter"]["channel"]["$ref"].rpartition("/")[2] for each in operations if "x-deadLetter" in each
    }
    addresses = {document["channels"][name]["address"] for name in used}
    async with visiting(browser, f"{site}/asyncapi") as page:
        await page.get_by_role("link", name="AsyncAPI's own viewer").click()
        await page.wait_for_url(f"{site}/asyncapi/react")
        await expect(page.get_by_role("heading", name="Operations", exact=True)).to_be_visible(timeout=30_000)
        text = await page.locator("#viewer").inner_text()
        await page.get_by_role("link", name="Back to the whole reference").click()
        await page.wait_for_url(f"{site}/asyncapi")
    assert {each for each in addresses | parked if each not in text} == set()
