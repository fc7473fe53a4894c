"""Servers that the environment names are used, or are errors that name the variable: never silently replaced."""

from pathlib import Path

import pytest

from devstack.errors import GivenServerError
from devstack.ports import any_free_port
from devstack.servers import PostgresServer, RabbitServer, postgres_for, rabbitmq_for
from devstack.servers.given import AMQP, MANAGEMENT, Broker, given_broker, given_database


@pytest.mark.parametrize("scheme", ["postgresql", "http"])
def test_a_given_database_that_does_not_answer_is_named(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable and the server, and keeps the password to itself."""
    monkeypatch.setenv("ORDERS_PAYMENT_DATABASE_URL", f"{scheme}://me:secret@127.0.0.1:{any_free_port()}/payment")
    with pytest.raises(GivenServerError, match="ORDERS_PAYMENT_DATABASE_URL names") as error:
        given_database("payment")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("scheme", ["amqp", "http"])
def test_a_given_broker_that_does_not_answer_is_named(
    scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No private broker is started in its place."""
    monkeypatch.setenv(AMQP, f"{scheme}://me:secret@127.0.0.1:{any_free_port()}/")
    with pytest.raises(GivenServerError, match="ORDERS_AMQP_URL names") as error, rabbitmq_for(tmp_path / "rabbitmq"):
        pass
    assert "secret" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_management_url_without_a_broker_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a broker is refused rather than guessed."""
    monkeypatch.delenv(AMQP, raising=False)
    monkeypatch.setenv(MANAGEMENT, "http://127.0.0.1:15672")
    with pytest.raises(GivenServerError, match=AMQP):
        given_broker()


@pytest.mark.broker
def test_a_given_broker_is_used(rabbitmq_server: RabbitServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And its wrong password, or a management API that is not there, is an error."""
    monkeypatch.setenv(AMQP, rabbitmq_server.amqp_url)
    monkeypatch.setenv(MANAGEMENT, rabbitmq_server.management_url)
    with rabbitmq_for(tmp_path / "rabbitmq") as broker:
        assert broker == Broker(rabbitmq_server.amqp_url, rabbitmq_server.management_url)
    monkeypatch.setenv(MANAGEMENT, f"http://127.0.0.1:{any_free_port()}")
    with pytest.raises(GivenServerError, match=MANAGEMENT):
        given_broker()
    monkeypatch.setenv(AMQP, rabbitmq_server.amqp_url.replace("orders:", "orders:wrong"))
    with pytest.raises(GivenServerError, match=AMQP):
        given_broker()


@pytest.mark.database
def test_given_and_private_databases_mix(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A private server has the databases that were not given."""
    monkeypatch.setenv("ORDERS_PAYMENT_DATABASE_URL", postgres_server.url())
    with postgres_for(["payment", "shipping"], tmp_path / "postgresql") as urls:
        assert urls["payment"] == postgres_server.url()
        assert urls["shipping"].endswith("/shipping")
        assert str(postgres_server.port) not in urls["shipping"]
