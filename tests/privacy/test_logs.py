"""What leaves by logs, headers of failed messages and HTTP tells nobody's data and no secret."""

import json
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from traceback import format_exception

import pytest
import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from contracts import Address, OrderCreated
from messaging.database import Database
from messaging.disclosure import in_a_line, masked, trace, without_secrets
from messaging.logs import Discreet, configure
from messaging.outbox import outgoing
from messaging.retry import reason_of
from order_api.models import Order
from rest.callers import Caller, Scope, new_token

SECRETS = ("Ada", "1 Main St", "Berlin", "10115", "c-42", "tok_ok")
EXAMPLE = OrderCreated.example()
BODY = EXAMPLE.model_dump(mode="json")
ALL = " ".join(SECRETS)


@pytest.fixture(params=["json", "console"])
def logged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Log as a service does; the fixture returns what was written so far."""
    written = StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    structlog.contextvars.clear_contextvars()
    configure("probe", "info", request.param)
    yield written.getvalue
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def leaked(shown: str) -> list[str]:
    """Which of the example's personal data is in a text."""
    return [secret for secret in SECRETS if re.search(rf"\b{secret}\b", shown)]


def test_the_search_finds_what_leaks() -> None:
    """The body, unmasked, holds every one of them."""
    assert leaked(json.dumps(BODY)) == list(SECRETS)


@dataclass
class Holder:
    """A value that is no model."""

    event: OrderCreated


@pytest.mark.parametrize(
    "value",
    [
        EXAMPLE,
        BODY,
        [EXAMPLE, BODY],
        Address.example(),
        Holder(EXAMPLE),
        Order(**Order.columns(EXAMPLE, Caller("storefront", "0123456789ab", frozenset(Scope)))),
        outgoing(EXAMPLE, cause=None, redrive=0, context={}),
        {"deep": {"deeper": ({"customer_id": "c-42", "name": "Ada"},)}},
        json.dumps(BODY).encode(),
    ],
    ids=["event", "body", "list", "address", "dataclass", "row", "outbox", "deep", "bytes"],
)
def test_a_log_call_with_personal_data_is_masked(logged: Callable[[], str], value: object) -> None:
    """Whoever logs an event, a body, a row or an address by mistake tells nobody's data."""
    structlog.get_logger().warning("planted", planted=value)
    written = logged()
    assert "planted" in written
    assert leaked(written) == []


def test_a_field_is_masked_by_its_name(logged: Callable[[], str]) -> None:
    """The marks decide, not whoever calls the logger; other fields are written."""
    structlog.get_logger().warning("planted", customer_id="c-42", shipping_address="1 Main St, Berlin", sku="MUG-01")
    written = logged()
    assert leaked(written) == []
    assert "MUG-01" in written


def test_secrets_are_masked(logged: Callable[[], str]) -> None:
    """API keys, Authorization headers and passwords of URLs are masked under any name and in any text."""
    key = new_token()
    structlog.get_logger().warning(
        f"with {key} and Bearer {key}",
        headers={"Authorization": f"Bearer {key}", "token": key},
        url="amqp://orders:geheim@127.0.0.1:5672/orders",
    )
    written = logged()
    assert (key in written, "geheim" in written) == (False, False)
    assert "amqp://orders:***@127.0.0.1:5672/orders" in written


def invalid() -> ValidationError:
    """Pydantic's error of a model that is none of ours: its text repeats the input."""

    class Model(BaseModel):
        amount: int

    try:
        Model.model_validate({"amount": ALL})
    except ValidationError as error:
        return error
    raise AssertionError


def test_an_exception_in_a_log_repeats_no_input(logged: Callable[[], str]) -> None:
    """Of an error and of what led to it, a log has kind and place and the first line, not the input."""
    assert leaked(str(invalid())) == list(SECRETS)
    try:
        try:
            raise invalid()
        except ValidationError as error:
            raise RuntimeError(f"cannot be read\n{ALL}") from error
    except RuntimeError:
        structlog.get_logger().exception("planted")
    written = logged()
    assert leaked(written) == []
    assert ("1 validation error for Model" in written, "RuntimeError: cannot be read" in written) == (True, True)
    assert "test_an_exception_in_a_log_repeats_no_input" in written


def test_lines_of_libraries_repeat_no_input() -> None:
    """The standard library's logging, which servers use for what nobody caught, is formatted alike."""
    written: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    log, handler = logging.getLogger("a.library"), Handler()
    handler.setFormatter(Discreet())
    log.addHandler(handler)
    key = new_token()
    log.error("refused %s", key, exc_info=ExceptionGroup("several", [invalid()]))
    assert "1 validation error for Model" in written[0]
    assert leaked(written[0]) == []
    assert key not in written[0]


@pytest.mark.parametrize(("owner", "logger"), [("uvicorn", "uvicorn.error"), ("faststream", "faststream.payment")])
def test_the_servers_own_handlers_are_discreet_too(monkeypatch: pytest.MonkeyPatch, owner: str, logger: str) -> None:
    """uvicorn, which logs what no route caught, and FastStream bring handlers of their own."""
    handler = logging.StreamHandler(StringIO())
    monkeypatch.setattr(logging.getLogger(owner), "handlers", [handler])
    configure("probe", "info", "json")
    logging.getLogger(logger).error("not caught", exc_info=invalid())
    written = handler.stream.getvalue()
    assert "1 validation error for Model" in written
    assert leaked(written) == []
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("INSERT INTO outbox (name) VALUES (:text)", "null value in column"),
        ("SELECT CAST(CAST(:text AS text) AS int)", "a value does not fit its column (SQLSTATE 22P02)"),
    ],
)
async def test_an_error_of_the_database_repeats_no_row(
    service_database: Callable[[str], Awaitable[Database]], statement: str, told: str
) -> None:
    """PostgreSQL quotes rows and values, SQLAlchemy parameters: a failed message's headers and the log have neither."""
    database = await service_database("payment")
    with pytest.raises(DBAPIError) as caught:
        async with database.session() as db:
            await (await db.connection()).execute(text(statement), {"text": ALL})
    assert leaked("".join(format_exception(caught.value))) == list(SECRETS)  # Python's own traceback would tell
    for shown in (reason_of(caught.value), in_a_line(caught.value), trace(caught.value)):
        assert leaked(shown) == []
        assert told in shown


def test_text_without_secrets_stays() -> None:
    """Only secrets are masked."""
    anything = "an order of 2 MUG-01 at 12:30, http://host:15672/x@y"
    assert without_secrets(anything) == anything
    assert masked({"a": 1, "b": None, "c": [1.5, True]}) == {"a": 1, "b": None, "c": [1.5, True]}


async def test_parameters_are_not_repeated(service_database: Callable[[str], Awaitable[Database]]) -> None:
    """Even the whole text of an error of the database is without the statement's parameters."""
    database = await service_database("payment")
    with pytest.raises(DBAPIError) as caught:
        async with database.session() as db:
            await (await db.connection()).execute(text("INSERT INTO outbox (name) VALUES (:text)"), {"text": ALL})
    assert leaked(str(caught.value)) == []
