"""What the order API can be told by its environment."""

from collections.abc import Iterable
from datetime import timedelta

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from typing_extensions import override

from order_api.domain import Patience
from rest.settings import RestSettings

DOCUMENTS = ("/docs", "/openapi.json", "/asyncapi", "/asyncapi.json", "/asyncapi.yaml", "/assets")
HEALTH = ("/livez", "/readyz", "/metrics")
DAY = 86_400.0


class Settings(RestSettings):
    """The order API's settings, from variables that begin with ORDER_API_. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="ORDER_API_")

    body_limit: int = Field(default=65_536, ge=1_024)
    """Bytes that a request's body may have; more is answered with 413."""
    catalogue_interval: float = Field(default=5.0, gt=0)
    """How old the prices may be at which orders are accepted."""

    idempotency_hours: int = Field(default=48, ge=24)
    """How long the answer to a request with an idempotency key is kept for its repetitions."""
    development_client_key: SecretStr | None = None
    development_operator_key: SecretStr | None = None
    """API keys that `python -m order_api.seed` makes good, on a local stack."""
    rate_limit: str = "500/second"
    """Requests that one API key may send to one process: a number, `/` and a unit of time."""
    open_documents: bool = True
    """Whether /docs, /openapi.json and /asyncapi can be read without an API key."""
    open_health: bool = True
    """Whether /livez, /readyz and /metrics answer without an API key."""

    most_waiting: int = Field(default=1_000, ge=1)
    """Orders that one process accepts at the same moment; more are answered with 503."""
    most_unsent: int = Field(default=100_000, ge=1)
    """Events in the outbox, waiting for an absent broker, from which on new orders are answered with 503."""
    pressure_interval: float = Field(default=1.0, gt=0)
    """How often the outbox is counted."""

    live_interval: float = Field(default=0.25, gt=0)
    """How late a timeline that is followed live may be."""
    heartbeat: float = Field(default=15.0, gt=0)
    """Silence after which a live timeline gets a sign of life; proxies close silent connections."""

    deadline_interval: float = Field(default=5.0, gt=0)
    """How often overdue orders are looked for."""
    first_deadline: float = Field(default=1_200.0, gt=0)
    """How long an order may take before its first event is said again. It is to be more than one and a half times the
    sum of the retry tiers: what only waits for its next attempt is not lost. Every further wait is twice as long."""
    longest_deadline: float = Field(default=DAY, gt=0, le=30 * DAY)
    """The longest wait until it is said again."""
    redrives_before_cancel: int = Field(default=3, ge=0)
    """How often it is said again in vain before the order, if it is not final yet, is to be cancelled."""
    expiry: float = Field(default=7 * DAY, gt=0, le=365 * DAY)
    """The age at which an order that is not final yet is to be cancelled."""

    @property
    def open_paths(self) -> tuple[str, ...]:
        """Where nobody needs a key; what is below such a path is open, too."""
        return (DOCUMENTS if self.open_documents else ()) + (HEALTH if self.open_health else ())

    @override
    def weak_secrets(self) -> Iterable[str]:
        yield from super().weak_secrets()
        if self.development_client_key or self.development_operator_key:
            yield "development keys are given"

    @property
    def answers_kept(self) -> timedelta:
        """How long answers are kept for repetitions."""
        return timedelta(hours=self.idempotency_hours)

    @property
    def patience(self) -> Patience:
        """The deadlines together."""
        return Patience(
            first=self.first_deadline,
            longest=self.longest_deadline,
            redrives=self.redrives_before_cancel,
            expiry=self.expiry,
        )
