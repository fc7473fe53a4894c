"""What every service can be told by its environment; each service gives the prefix."""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url

from messaging import secret_files
from messaging.nodes import Nodes
from messaging.topology import DEFAULT_TIERS, Delay

KNOWN_PASSWORDS = frozenset({"guest", "orders", "postgres", "password", "secret", "changeme"})
"""RabbitMQ's own, and what people type first."""


class ServiceSettings(BaseSettings):
    """Settings that all services share. Durations are seconds.

    A service subclasses it with `model_config = SettingsConfigDict(env_prefix="PAYMENT_")`. What is not in the
    environment is looked for in files: `/run/secrets/payment_amqp_password`.
    """

    model_config = SettingsConfigDict(
        hide_input_in_errors=True,  # an error repeats no part of a URL with a password
        secrets_dir=secret_files.folder(),
    )

    amqp_url: SecretStr = SecretStr("amqp://guest:guest@127.0.0.1:5672/")
    """Where RabbitMQ is, with user, password and virtual host."""
    amqp_nodes: Nodes = ()
    """The nodes of a cluster, `rabbitmq1:5672,rabbitmq2:5672`: when one is lost, the service goes on at another.

    They stand in for the host and port of `amqp_url`; a node without a port has that one's."""
    database_url: SecretStr = SecretStr("")
    """The service's own PostgreSQL database, `postgresql://user:password@host:port/name`.

    Starting without it is an error."""
    amqp_password: SecretStr | None = None
    database_password: SecretStr | None = None
    """Passwords of the users in the URLs, for URLs that hold none."""

    production: bool = False
    """Whether a start with a secret that others know is refused."""

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65535)
    """Where `/livez`, `/readyz` and `/metrics` answer; 0 serves none."""

    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    retry_tiers: Annotated[tuple[Delay, ...], NoDecode] = DEFAULT_TIERS
    """Delays between the attempts of a message that failed; the broker must hold a tier for each."""
    prefetch: int = Field(default=200, ge=1, le=65535)
    """Unacknowledged messages a queue hands to one process: the bound on its concurrency."""
    group_size: int = Field(default=200, ge=1, le=1000)
    """Messages that share one database transaction at most."""
    database_pool: int = Field(default=8, ge=3, le=100)
    """Connections to the database at most."""

    publish_timeout: float = Field(default=10.0, gt=0)
    """How long a publish waits for the broker's confirm."""
    prepare_timeout: float = Field(default=10.0, gt=0)
    """How long a handler's remote call may take, all in all."""
    relay_interval: float = Field(default=1.0, gt=0)
    """How often the outbox is swept for rows that were left unsent."""
    relay_grace: float = Field(default=2.0, ge=0)
    """The age from which an unsent row is the relay's; younger ones are sent by their own unit of work."""
    retention_days: int = Field(default=7, ge=1)
    """How long sent outbox rows and inbox rows are kept."""
    shutdown_timeout: float = Field(default=10.0, gt=0)
    """How long a stop waits for messages in flight."""

    def weak_secrets(self) -> Iterable[str]:
        """Yield what is wrong with the secrets that were given, never the secrets."""
        for name, url in (("amqp_url", self.amqp_url), ("database_url", self.database_url)):
            password = make_url(url.get_secret_value()).password if url.get_secret_value() else None
            if not password or password in KNOWN_PASSWORDS:
                yield f"{name} has no password, or one that everybody knows"

    @model_validator(mode="after")
    def _complete_urls(self) -> Self:
        self.amqp_url = completed(self.amqp_url, self.amqp_password)
        self.database_url = completed(self.database_url, self.database_password)
        return self

    @model_validator(mode="after")
    def _refuse_weak_secrets(self) -> Self:
        if self.production and (weak := list(self.weak_secrets())):
            msg = f"not in production: {'; '.join(weak)}"
            raise ValueError(msg)
        return self

    @field_validator("retry_tiers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """The environment gives the tiers as `1s,5s,30s`."""
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def completed(url: SecretStr, password: SecretStr | None) -> SecretStr:
    """The URL with that password for its user, unless it holds one, or there is none to give."""
    given = None if password is None else password.get_secret_value()
    return SecretStr(secret_files.with_password(url.get_secret_value(), given))
