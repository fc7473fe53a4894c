"""What the auditor can be told by its environment."""

from datetime import timedelta
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from messaging import secret_files
from messaging.settings import KNOWN_PASSWORDS, completed


class AuditSettings(BaseSettings):
    """Variables that begin with OPERATIONS_AUDIT_. Durations are seconds."""

    model_config = SettingsConfigDict(
        env_prefix="OPERATIONS_AUDIT_",
        env_nested_delimiter="__",
        hide_input_in_errors=True,
        secrets_dir=secret_files.folder(),
    )

    databases: dict[str, SecretStr] = {}
    """The services' databases, as a role that may only read (`python -m messaging readers` makes it):
    `OPERATIONS_AUDIT_DATABASES__PAYMENT`. Without any of them nothing is audited."""
    reader_password: SecretStr | None = Field(default=None, validation_alias="OPERATIONS_READER_PASSWORD")
    """That role's password, for URLs that hold none."""

    interval: float = Field(default=30.0, gt=0)
    """How often is looked."""
    stock_interval: float = Field(default=300.0, gt=0)
    """How often all of inventory is added up."""
    round_interval: float = Field(default=3_600.0, gt=0)
    """How often a round through all rows begins, which finds those without an order and anomalies."""
    grace: float = Field(default=1_500.0, gt=0)
    """How long what is on its way is no violation. It is to be longer than ORDER_API_FIRST_DEADLINE (1,200), which is
    longer than all retries of a message."""
    lag: float = Field(default=60.0, ge=0)
    """How old an order or a message is when it is first read: older than any transaction, and than the services'
    clocks differ."""
    most: int = Field(default=5_000, ge=1_000)
    """Orders, and messages of each outbox, that one look reads at most."""
    retention_days: int = Field(default=7, ge=1)
    """The services' RETENTION_DAYS: what is older is in no outbox and no inbox."""

    production: bool = Field(default=False, validation_alias="OPERATIONS_PRODUCTION")
    """Whether a start with a password that others know is refused."""

    @model_validator(mode="after")
    def _complete_urls(self) -> Self:
        for name, url in self.databases.items():
            self.databases[name] = complete = completed(url, self.reader_password)
            try:
                password = make_url(complete.get_secret_value()).password
            except ArgumentError:
                raise ValueError(f"that of {name} is no URL like postgresql://user:password@host:5432/name") from None
            if self.production and (not password or password in KNOWN_PASSWORDS):
                raise ValueError(f"not in production: {name} with no password, or one that everybody knows")
        return self

    @property
    def patience(self) -> timedelta:
        """The grace."""
        return timedelta(seconds=self.grace)
