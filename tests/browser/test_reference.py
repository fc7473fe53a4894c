"""Our page of the AsyncAPI document, as a browser shows it."""

import pytest
from playwright.async_api import Browser, Page, expect

from devstack.paths import CHECKOUT
from messaging.asyncapi.page import PAGE
from messaging.asyncapi.reading import DOCUMENT, load, topology_of
from messaging.asyncapi.reference import Reference, anchor
from tests.browser.visits import violations, visiting

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]  # the first one installs a browser

REFERENCE = Reference(load(CHECKOUT / DOCUMENT))
NARROW = {"width": 400, "height": 800}


async def test_every_channel_is_rendered(browser: Browser, site: str) -> None:
    """Every event, queue and exchange of the document has its place on the page, with words in it."""
    topology = topology_of(REFERENCE.document)
    wanted = [
        *(anchor("event", each.name) for each in REFERENCE.events),
        *(anchor("queue", each.name) for each in topology.queues),
        *(anchor("exchange", each.name) for each in topology.exchanges),
    ]
    events = {each.name for each in REFERENCE.events}
    queues = {each.name for each in topology.queues}
    exchanges = {f"exchange.{each.name}" for each in topology.exchanges}
    assert REFERENCE.document["channels"].keys() <= events | queues | exchanges
    async with visiting(browser, f"{site}/asyncapi") as page:
        shown: list[str] = await page.evaluate(
            "ids => ids.filter(id => document.getElementById(id)?.innerText.trim() "
            "&& document.getElementById(id).checkVisibility())",
            wanted,
        )
    assert shown == wanted


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("payment.order.created.dlq", "dead-letter queue", "queue-payment.order.created.dlq"),
        ("orders.retry.30s", "retry exchange", "exchange-orders.retry.30s"),
    ],
)
async def test_a_name_is_found_and_reached_by_keyboard(
    browser: Browser, site: str, name: str, kind: str, target: str
) -> None:
    """A slash begins; the name and its kind are shown, and Enter leads to its place."""
    async with visiting(browser, f"{site}/asyncapi") as page:
        await page.keyboard.press("/")
        await page.keyboard.type(f"{name} {kind}")
        [found] = [each.split("\n") for each in await page.locator(".search li").all_inner_texts()]
        assert found == [name, kind]
        await page.keyboard.press("Enter")
        await expect(page.locator(f"[id='{target}']")).to_be_in_viewport()
        assert page.url.endswith(f"#{target}")


async def test_results_can_be_chosen_and_left_by_keyboard(browser: Browser, site: str) -> None:
    """The exact name comes first; arrows go through the results and back; Escape brings the contents back."""
    async with visiting(browser, f"{site}/asyncapi") as page:
        field = page.get_by_role("searchbox", name="Search")
        contents = page.locator(".contents")
        await expect(contents).to_be_visible()
        await field.fill("order.created")
        results = page.locator(".search li a")
        await expect(results.first).to_have_attribute("href", "#event-order.created")
        await expect(page.get_by_role("status")).to_have_text(f"{await results.count()} found")
        await expect(contents).to_be_hidden()
        await field.press("ArrowDown")
        await page.keyboard.press("ArrowDown")
        await expect(results.nth(1)).to_be_focused()
        await page.keyboard.press("ArrowUp")
        await page.keyboard.press("ArrowUp")
        await expect(field).to_be_focused()
        await field.fill("no such thing")
        await expect(page.get_by_role("status")).to_have_text("Nothing found")
        await page.keyboard.press("Escape")
        await expect(field).to_have_value("")
        await expect(contents).to_be_visible()


async def test_the_committed_page_works_from_disk(browser: Browser) -> None:
    """Search and all, without a server."""
    async with visiting(browser, (CHECKOUT / PAGE).as_uri()) as page:
        await page.get_by_role("searchbox").fill("payment.order.created.dlq")
        await expect(page.locator(".search li")).to_have_count(1)


async def test_every_box_of_the_picture_is_reached_by_keyboard(browser: Browser, site: str) -> None:
    """Tab goes through all of them, each is marked when it has the focus, and Enter leads to its description."""
    async with visiting(browser, f"{site}/asyncapi") as page:
        boxes: list[str] = await page.locator("svg a").evaluate_all("all => all.map(each => each.getAttribute('href'))")
        topology = topology_of(REFERENCE.document)
        assert {f"#{anchor('queue', each.name)}" for each in topology.queues} <= set(boxes)
        await page.locator("svg a").first.focus()
        reached: list[str] = []
        for _ in boxes:
            href, width = await page.evaluate(
                "[document.activeElement.getAttribute('href'), "
                "getComputedStyle(document.activeElement.querySelector('rect') ?? document.activeElement).strokeWidth]"
            )
            assert width == "2.5px"
            reached.append(href)
            await page.keyboard.press("Tab")
        assert reached == boxes
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator(f"[id='{boxes[-1][1:]}']")).to_be_in_viewport()


async def test_without_scripts_the_page_is_readable(browser: Browser, site: str) -> None:
    """Contents, picture and reference are there; the search, which could do nothing, is not."""
    async with visiting(browser, f"{site}/asyncapi", java_script_enabled=False) as page:
        await expect(page.get_by_role("search", include_hidden=True)).to_be_hidden()
        await expect(page.locator(".contents")).to_be_visible()
        await expect(page.locator("svg.topology")).to_be_visible()
        await page.locator(".contents").get_by_role("link", name="payment.voided").click()
        await expect(page.locator("[id='event-payment.voided']")).to_be_in_viewport()


async def test_a_narrow_screen_is_enough(browser: Browser, site: str) -> None:
    """The title is on the first screen, and only the picture is wider than the window, in a frame that scrolls."""
    async with visiting(browser, f"{site}/asyncapi", viewport=NARROW) as page:
        await expect(page.get_by_role("heading", level=1)).to_be_in_viewport()
        assert await page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(browser: Browser, site: str, axe: str, scheme: str) -> None:
    """Neither on the page as it comes nor with results of a search."""
    async with visiting(browser, f"{site}/asyncapi", color_scheme=scheme) as page:
        assert await violations(page, axe) == []
        await page.get_by_role("searchbox").fill("payment")
        assert await violations(page, axe, within=".search") == []


async def test_axe_would_find_it(browser: Browser, site: str, axe: str) -> None:
    """A button without a name and text that is hardly there are reported."""
    async with visiting(browser, f"{site}/asyncapi") as page:
        await page.evaluate(
            "document.querySelector('h1').append(document.createElement('button')); "
            "document.querySelector('h1').style.color = 'gainsboro'"
        )
        found = await violations(page, axe, within="h1")
        assert {each.partition(":")[0] for each in found} == {"button-name", "color-contrast"}


async def test_a_complaint_fails_the_visit(browser: Browser) -> None:
    """An image from elsewhere, an error in the console, an error that nobody caught."""

    async def provoke(page: Page) -> None:
        async with page.expect_event("requestfailed"):
            await page.set_content("<img src='http://elsewhere.invalid/x.png'>")
        await page.evaluate("console.error('no')")
        await page.evaluate("setTimeout(() => { throw new Error('never caught') })")
        await page.wait_for_event("pageerror")

    with pytest.raises(AssertionError) as failed:
        async with visiting(browser, "about:blank") as page:
            await provoke(page)
    for each in ("request: http://elsewhere.invalid/x.png", "error: no", "never caught"):
        assert each in str(failed.value)
