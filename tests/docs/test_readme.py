"""What the README says of events, folders, commands, tokens and variables is what the code holds."""

import json
import re
import tomllib
from collections.abc import Awaitable, Callable

import httpx2
from faststream.rabbit import TestRabbitBroker
from typer.main import get_command

from contracts import EVENTS, PRODUCERS, RECEIPT
from devstack import scenarios
from devstack.cli import app
from devstack.document import SERVICES
from devstack.orders import order_body
from devstack.servers import given
from devstack.services import API
from devstack.services import SERVICES as SERVICE_NAMES
from messaging.service import Service
from messaging.topology import DEFAULT_TIERS, REQUEUE, dead_letter_queue, retry_tier
from order_api.app import build, create_api
from order_api.seed import listings, seed
from order_api.settings import Settings
from payment.simulator import TestToken
from rest import keys
from rest.callers import Scope
from shipping.simulator import DOWN_CITY, FLAKY_CITY, UNDELIVERABLE_POSTAL_CODE
from tests.docs.markdown import README, ROOT, Page, first_cells

_EVENTS = re.compile(r"<!-- events: [^\n]* -->\n(.*)<!-- /events -->", re.DOTALL)
_VARIABLE = re.compile(r"ORDERS_[A-Z_]+")
_OWN_VARIABLES = {"ORDERS_STATE_FOLDER": "devstack/paths.py", "ORDERS_PYTHON": "run"}
"""Variables of `./run` besides those of servers, and the file that reads each."""


def event_table() -> str:
    """The table of events as contracts and handlers have it."""
    lines = ["| event | from | to | says |", "| --- | --- | --- | --- |"]
    for producer, events in {**PRODUCERS, "every service": (RECEIPT,)}.items():
        for event in events:
            hearers = sorted(
                (s.name for s in SERVICES if any(route.event is event for route in s.routes.values())),
                key=lambda name: (name == API, name),  # those who act on it first
            )
            says = (event.__doc__ or "").partition("\n")[0].split(". ")[0].rstrip(".")
            lines.append(f"| `{event.name}` | {producer} | {', '.join(hearers) or 'nobody'} | {says} |")
    return "\n".join(lines) + "\n"


def test_the_event_table_is_the_code_s() -> None:
    """Events, producers and consumers are those of contracts.EVENTS and of the services' routes."""
    shown = _EVENTS.search(README.text)
    assert shown, "the README has no place for the table of events"
    assert shown[1] == event_table(), f"the README's table must be:\n{event_table()}"


def test_every_published_event_has_a_hearer() -> None:
    """No event of the table is said to nobody."""
    heard = {route.event for service in SERVICES for route in service.routes.values()}
    assert heard == set(EVENTS.values())


def test_every_folder_of_the_map_is_there() -> None:
    """The map lists every package of the checkout, and nothing that is not there."""
    listed = {cell.rstrip("/") for cell in first_cells(README.section("Folders"))}
    assert [folder for folder in sorted(listed) if not (ROOT / folder).is_dir()] == []
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(configuration["tool"]["importlinter"]["root_packages"]) <= listed


def test_every_token_of_the_simulator_is_explained() -> None:
    """The table of tokens is the simulated gateway's."""
    section = README.section("Test tokens and addresses")
    tokens = [cell for cell in first_cells(section) if cell.startswith("tok_")]
    assert sorted(tokens) == sorted(TestToken)


def test_every_address_of_the_simulator_is_explained() -> None:
    """The table of addresses is the simulated carrier's."""
    section = README.section("Test tokens and addresses")
    addresses = [json.loads(f"{{{cell}}}") for cell in first_cells(section) if cell.startswith('"')]
    assert addresses == [{"postal_code": UNDELIVERABLE_POSTAL_CODE}, {"city": FLAKY_CITY}, {"city": DOWN_CITY}]


def test_every_variable_for_servers_is_explained() -> None:
    """The table of variables names those that are read, and no other."""
    listed = set(first_cells(README.section("Servers of your own"))) - {"variable"}
    servers = {given.AMQP, given.MANAGEMENT, *map(given.database_variable, SERVICE_NAMES)}
    assert listed == servers | _OWN_VARIABLES.keys()
    for variable, reader in _OWN_VARIABLES.items():
        assert variable in (ROOT / reader).read_text()


def test_the_retry_picture_names_the_real_tiers() -> None:
    """The picture of retries has the default tiers, in order, and queues that exist."""
    picture = README.section("The pipeline")
    first, *later = DEFAULT_TIERS
    assert f"{retry_tier(first)}, then {', '.join(later)}" in picture
    queue = "payment.order.created"
    assert {queue, dead_letter_queue(queue), REQUEUE} <= set(re.findall(r"[a-z_]+(?:\.[a-z_]+)+", picture))


def test_the_demo_is_described_as_it_is() -> None:
    """Number of orders, their titles and their statuses are those of the demo."""
    demo = README.section("Two commands")
    told = re.findall(r"^✓ (.+) (\w+), [\d.]+ s [0-9a-f-]{36}$", demo, re.MULTILINE)
    assert len(told) > 1
    assert set(told) <= {(each.title, each.status) for each in scenarios.DEMO}
    assert f"{len(scenarios.DEMO)} of {len(scenarios.DEMO)} orders ended as they should." in demo


async def test_the_curl_places_an_order(run_in_memory: Callable[..., Awaitable[Service]]) -> None:
    """The body of the README's curl is accepted, and is the order that `./run order` places but for its quantity."""
    [block] = Page(README.path).blocks("sh")
    body = json.loads(block.text.split(" -d ")[1].strip().strip("'"))
    assert "Authorization: Bearer" in block.text
    assert body == order_body("MUG-01", 2)
    service = await run_in_memory(build, Settings)
    await seed(service.database, listings())
    transport = httpx2.ASGITransport(app=create_api(service, Settings()))
    key = {"Authorization": f"Bearer {await keys.create(service.database, 'storefront', set(Scope))}"}
    async with (
        TestRabbitBroker(service.broker),
        httpx2.AsyncClient(transport=transport, base_url="http://test", headers=key) as http,
    ):
        placed = await http.post("/orders", json=body)
        assert placed.status_code == 201, placed.text
        for path in (placed.headers["location"], f"{placed.headers['location']}/timeline", "/products", "/livez"):
            assert (await http.get(path)).status_code == 200, path


def test_every_route_of_the_api_is_listed() -> None:
    """The table of requests is the API's, health included."""
    listed = {
        tuple(request.split())
        for cell in first_cells(README.section("Place an order"))
        for request in cell.split(", ")
        if request.startswith(("GET ", "POST "))
    }
    api = create_api(build(Settings()), Settings())
    paths = api.openapi()["paths"]
    served = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert listed == served | {("GET", "/livez"), ("GET", "/readyz"), ("GET", "/metrics")}


def test_every_command_that_a_page_names_is_one_of_run() -> None:
    """The README and CONTRIBUTING name no command that `./run` lacks, and together they name all."""
    commands = set(getattr(get_command(app), "commands", {}))
    named: set[str] = set()
    for page in (README, Page(ROOT / "CONTRIBUTING.md")):
        named |= set(re.findall(r"\./run ([a-z]+)", page.text))
    assert named == commands


def test_no_other_variable_is_named() -> None:
    """A variable in the README is one that is explained there."""
    assert set(_VARIABLE.findall(README.text)) <= set(first_cells(README.section("Servers of your own")))
