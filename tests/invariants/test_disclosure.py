"""I9: a planted secret is found in every place where it may not be, and the violation does not repeat it."""
# ruff: noqa: S608 - the statements are made of constants

import http.server
import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typing_extensions import override

from tests.invariants.conftest import World
from tests.invariants.disclosure import Places, Secret, disclosed
from tests.invariants.expectations import Violation
from tests.invariants.world import READY

CARD = "4111111111111111"
SECRET = Secret.card(CARD)
KEY = Secret("the client's key", "storefront_0123456789ab_secret")


@contextmanager
def serving(pages: Mapping[str, str]) -> Generator[str]:
    """The address of a server that has these pages, whatever the query, for whoever has the right header."""

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            self.send_response(200 if path == "/metrics" or self.headers["Authorization"] == "operator" else 401)
            self.end_headers()
            self.wfile.write(pages[path].encode())

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("page", "place"),
    [
        ("/metrics", "the metrics of payment"),
        ("/dead-letters", "the list of dead letters, at one"),
        ("/dead-letters/groups", "the groups of dead letters"),
        ("/dead-letters/one", "the view of dead letter one"),
    ],
)
async def test_a_secret_in_a_page_is_found(page: str, place: str) -> None:
    """Numbers, lists, groups and the view of a single dead letter are searched, with an operator's key."""
    letters = {"dead_letters": [{"id": "one", "reason": ""}], "next": None}
    pages = {
        "/metrics": "",
        "/dead-letters": json.dumps(letters),
        "/dead-letters/groups": "[]",
        "/dead-letters/one": "",
    }
    with serving(pages) as url:
        places = Places(addresses={"payment": url}, control_room=url, operator={"Authorization": "operator"})
        assert await disclosed(places, SECRET, KEY) == []
        pages[page] = pages[page].replace('"reason": ""', f'"reason": "{CARD}"') if "{" in pages[page] else f"no {CARD}"
        assert await disclosed(places, SECRET, KEY) == [Violation("I9", f"the card's number is in {place}")]


async def test_a_secret_in_a_log_is_found(tmp_path: Path) -> None:
    """Every log in the folder is searched, a replica's, too."""
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "payment.log").write_text(f"declined {CARD}\n")
    (tmp_path / "payment.log").write_text(f"key {KEY.value}\n")
    assert await disclosed(Places(logs=tmp_path), SECRET, KEY) == [
        Violation("I9", "the card's number is in the log second/payment.log"),
        Violation("I9", "the client's key is in the log payment.log"),
    ]


async def test_a_secret_in_a_column_is_found(world: World) -> None:
    """A token may be with the gateway, and in no other column of any table; a key belongs nowhere."""
    await world.change("payment", f"UPDATE gateway_accounts SET token = '{CARD}' WHERE key = '{READY}'")
    assert await disclosed(Places(world.databases), SECRET) == []
    told = Violation("I9", "the client's key is in payment.gateway_accounts.token")
    assert await disclosed(Places(world.databases), Secret("the client's key", CARD)) == [told]
    await world.change("payment", f"CREATE TABLE receipts AS SELECT 'paid by {CARD}' AS printed")
    told = Violation("I9", "the card's number is in payment.receipts.printed")
    assert await disclosed(Places(world.databases), SECRET) == [told]


async def test_an_address_has_its_own_columns(world: World) -> None:
    """An address may be in the events that carry it, and not where the gateway's token is."""
    said = f"""UPDATE payments SET said = '{{"payment.authorized": "{CARD}"}}'"""
    await world.change("payment", f"{said}; UPDATE gateway_accounts SET token = '{CARD}'")
    told = Violation("I9", "the address is in payment.gateway_accounts.token")
    assert await disclosed(Places(world.databases), Secret.address(CARD)) == [told]


def test_a_violation_does_not_repeat_the_secret() -> None:
    """Neither its text nor the secret's own shows the value."""
    assert CARD not in repr(SECRET)
