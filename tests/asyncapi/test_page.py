"""The page and the picture: everything is on them, everything leads somewhere, nothing comes from elsewhere."""

import re
from xml.etree import ElementTree as ET

import pytest

from devstack.paths import CHECKOUT
from messaging.asyncapi.fields import constraints
from messaging.asyncapi.page import to_html, to_svg
from messaging.asyncapi.policy import policy_of
from messaging.asyncapi.profile import Json
from messaging.asyncapi.reading import DOCUMENT, load, topology_of

_IDS = re.compile(r'\bid="([^"]+)"')
_TARGETS = re.compile(r'\b(?:href|src)="([^"]*)"')


@pytest.fixture(scope="module")
def html(generated: Json) -> str:
    """The page."""
    return to_html(generated)


@pytest.fixture(scope="module")
def svg(generated: Json) -> str:
    """The picture alone."""
    return to_svg(generated)


def test_everything_has_its_place(generated: Json, html: str) -> None:
    """Every event, queue, exchange, operation, schema of a value and service has an anchor, and only one."""
    ids = _IDS.findall(html)
    assert len(ids) == len(set(ids))
    topology = topology_of(generated)
    expected = {f"queue-{queue.name}" for queue in topology.queues}
    expected |= {f"exchange-{exchange.name}" for exchange in topology.exchanges}
    expected |= {f"event-{name}" for name, each in generated["channels"].items() if each["address"] == each["title"]}
    expected |= {f"operation-{name}" for name in generated["operations"]}
    expected |= {f"service-{tag['name']}" for tag in generated["info"]["tags"]}
    assert expected <= set(ids)
    assert len([each for each in ids if each.startswith("event-")]) == len(generated["components"]["messages"])


def test_everything_can_be_searched_for(generated: Json, html: str) -> None:
    """What has a place says of what kind it is, in words to search by."""
    kinds = dict(re.findall(r'<article id="([^"]+)" data-kind="([^"]+)"', html))
    topology = topology_of(generated)
    assert {f"queue-{each.name}" for each in topology.queues} <= kinds.keys()
    assert {f"exchange-{each.name}" for each in topology.exchanges} <= kinds.keys()
    assert kinds["queue-payment.order.created"] == "work queue"
    assert kinds["queue-payment.order.created.dlq"] == "dead-letter queue"
    assert kinds["queue-orders.retry.10m"] == "retry queue"
    assert kinds["exchange-orders.retry.10m"] == "retry exchange"
    assert kinds["exchange-orders.events"] == "exchange"
    assert kinds["event-order.created"] == "event"
    assert kinds["service-payment"] == "service"


def test_tiers_stand_in_the_order_of_their_delays(html: str) -> None:
    """Queues and exchanges alike, not 10m before 1s."""
    for kind in ("queue", "exchange"):
        tiers = re.findall(rf'<article id="{kind}-orders\.retry\.(\w+)"', html)
        assert tiers == ["1s", "5s", "30s", "2m", "10m"]


def test_the_page_follows_from_the_published_document_alone(html: str, svg: str) -> None:
    """Read from the file, where everything is in another order than the code has it, it is the same to the byte."""
    document = load(CHECKOUT / DOCUMENT)
    assert (to_html(document), to_svg(document)) == (html, svg)


def test_every_link_inside_resolves(html: str, svg: str) -> None:
    """On the page and from the picture beside it."""
    ids = set(_IDS.findall(html))
    targets = _TARGETS.findall(html)
    assert {each[1:] for each in targets if each.startswith("#")} <= ids
    assert {each for each in _TARGETS.findall(svg) if each.removeprefix("index.html#") not in ids} == set()


def test_nothing_comes_from_elsewhere(generated: Json, html: str, svg: str) -> None:
    """No image, no style sheet, no script but the page's own, and one address of another host: the licence's."""
    assert [each for each in _TARGETS.findall(html) if "//" in each] == [generated["info"]["license"]["url"]]
    assert len(re.findall(r"<script\b", html)) == 1
    for text in (html.replace("<script>", ""), svg):
        assert not re.search(r"<(script|link|img|iframe|object)\b|\bstyle=|\bon\w+=|@import|url\((?!#)", text)


def test_the_policy_allows_the_page_s_own_style_and_script_alone(html: str) -> None:
    """By their hashes; the header and the page state one policy. What is changed or added is not allowed."""
    policy = policy_of(html)
    one = r"'sha256-[\w+/]{43}='"
    assert re.fullmatch(
        rf"default-src 'none'; style-src {one}; script-src {one}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
        policy,
    )
    assert policy_of(html.replace("<script>", "<script>alert(1);")) != policy
    assert "script-src 'none'" in policy_of("<p>neither style nor script</p>")
    stated = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert stated
    assert policy == f"{stated[1].replace('&#39;', chr(39))}; frame-ancestors 'none'"


def test_what_the_document_says_is_text(document: Json) -> None:
    """A description cannot become part of the page."""
    bad = '<script>alert("1")</script> `<b>`'
    document["info"]["description"] = document["info"]["title"] = bad
    document["components"]["schemas"]["OrderCreated"]["properties"]["customer_id"]["description"] = bad
    document["channels"]["payment.order.created"]["description"] = bad
    for text in (to_html(document), to_svg(document)):
        assert "<script>alert" not in text
        assert "<b>" not in text
        assert "&lt;script&gt;" in text


def test_the_picture_shows_every_queue_and_exchange(generated: Json, svg: str) -> None:
    """Each is a link with a name, inside the picture's frame."""
    root = ET.fromstring(svg)  # noqa: S314 - our own text
    targets = {link.get("href", "").removeprefix("index.html#") for link in root.iter("{http://www.w3.org/2000/svg}a")}
    topology = topology_of(generated)
    assert {f"queue-{queue.name}" for queue in topology.queues} <= targets
    assert {f"exchange-{exchange.name}" for exchange in topology.exchanges} <= targets
    assert all(link.get("aria-label") for link in root.iter("{http://www.w3.org/2000/svg}a"))


def test_every_constraint_is_told() -> None:
    """Bounds, marks and choices in words; a keyword without words as it is; parts of a value with their own."""
    assert list(constraints({"type": "string", "minLength": 1, "maxLength": 1_000})) == ["1 to 1,000 characters"]
    assert list(constraints({"minimum": 0, "exclusiveMaximum": 9, "x-secret": True})) == [
        "at least 0",
        "below 9",
        "secret",
    ]
    assert list(constraints({"enum": ["a", 1], "multipleOf": 2})) == ["one of `a`, `1`", "multipleOf `2`"]
    assert list(constraints({"anyOf": [{"items": {"pattern": "^a$"}}, {"type": "null"}]})) == ["each: pattern `^a$`"]
