"""Passwords come from files, and complete the URLs that name a user without one."""

from pathlib import Path
from typing import TypeVar, cast

import pytest
from pydantic_settings import BaseSettings

from messaging.secret_files import read, with_password
from operations.audit.settings import AuditSettings
from operations.monitoring.settings import MonitoringSettings
from payment.settings import Settings

S = TypeVar("S", bound=BaseSettings)


@pytest.mark.parametrize(
    ("url", "complete"),
    [
        ("amqp://payment@rabbitmq:5672/", "amqp://payment:p%40ss%2Fw@rabbitmq:5672/"),
        ("amqps://payment@rabbitmq/v?cafile=/ca.pem", "amqps://payment:p%40ss%2Fw@rabbitmq/v?cafile=/ca.pem"),
        ("postgresql://payment:@db/payment", "postgresql://payment:@db/payment"),
        ("postgresql://payment:own@db/payment", "postgresql://payment:own@db/payment"),
        ("postgresql:///payment?host=/run/postgresql", "postgresql:///payment?host=/run/postgresql"),
        ("amqp://[::1]:5672/", "amqp://[::1]:5672/"),
        ("", ""),
    ],
)
def test_a_url_without_a_password_is_completed(url: str, complete: str) -> None:
    """What is special in the password is escaped; a URL that holds one, or names nobody, stays as it is."""
    assert with_password(url, "p@ss/w") == complete
    assert with_password(url, None) == url


def test_a_file_may_end_with_a_line(tmp_path: Path) -> None:
    """The end of its line is no part of a secret; spaces are; a missing file is no secret."""
    (tmp_path / "given").write_text(" a secret \r\n")
    assert read("given", tmp_path) == " a secret "
    assert read("missing", tmp_path) is None


def at(settings: type[S], folder: Path) -> type[S]:
    """The same settings, with their files in another folder."""
    made = type(settings.__name__, (settings,), {"model_config": {**settings.model_config, "secrets_dir": folder}})
    return cast("type[S]", made)


def test_settings_are_read_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of a service's passwords; the environment keeps the rest."""
    (tmp_path / "payment_amqp_password").write_text("broker's")
    (tmp_path / "payment_database_password").write_text("database's")
    monkeypatch.setenv("PAYMENT_AMQP_URL", "amqp://payment@rabbitmq/")
    monkeypatch.setenv("PAYMENT_DATABASE_URL", "postgresql://payment@db/payment")
    settings = at(Settings, tmp_path)(production=True)
    assert settings.amqp_url.get_secret_value() == "amqp://payment:broker%27s@rabbitmq/"
    assert settings.database_url.get_secret_value() == "postgresql://payment:database%27s@db/payment"


def test_a_known_password_in_a_file_is_refused_too(tmp_path: Path) -> None:
    """In production a file may not hold a password that everybody knows."""
    (tmp_path / "payment_amqp_password").write_text("guest")
    with pytest.raises(ValueError, match="everybody knows"):
        at(Settings, tmp_path)(
            amqp_url="amqp://payment@rabbitmq/",  # pyright: ignore[reportArgumentType]
            database_url="postgresql://payment:xq7@db/payment",  # pyright: ignore[reportArgumentType]
            production=True,
        )


def test_who_watches_and_audits_finds_the_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control room's two further passwords come from its files, too."""
    (tmp_path / "operations_reader_password").write_text("reader")
    (tmp_path / "operations_amqp_password").write_text("watch")
    monkeypatch.setenv("OPERATIONS_AUDIT_DATABASES__PAYMENT", "postgresql://orders_reader@db/payment")
    monkeypatch.setenv("OPERATIONS_MONITORING_MANAGEMENT_URL", "http://operations@rabbitmq:15672")
    audited = at(AuditSettings, tmp_path)().databases["payment"].get_secret_value()
    assert audited == "postgresql://orders_reader:reader@db/payment"
    watched = at(MonitoringSettings, tmp_path)().management_url.get_secret_value()
    assert watched == "http://operations:watch@rabbitmq:15672"
