"""What the control room can be told by its environment."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from typing_extensions import override

from messaging.asyncapi.reading import DOCUMENT
from rest.settings import RestSettings

OPEN_PATHS = ("/livez", "/readyz", "/metrics")
"""Where nobody needs a key."""


class Settings(RestSettings):
    """The control room's settings, from variables that begin with OPERATIONS_. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="OPERATIONS_")

    document: Path = DOCUMENT
    """The AsyncAPI document, which tells the queues."""
    order_api_url: str = ""
    """Where the order API answers, for the timelines of orders; empty shows none."""
    order_api_key: SecretStr = SecretStr("")
    """A key of the order API with the scope `operations`."""

    body_limit: int = Field(default=1_100_000, ge=1_024)
    """Bytes that a request's body may have: an edited message, and a little more."""
    rate_limit: str = "100/second"

    replay_interval: float = Field(default=0.5, gt=0)
    """How often a running replay is looked after."""
    replay_lease: float = Field(default=10.0, gt=0)
    """How long a replay waits for the process that had it when that one died."""
    receipt_patience: float = Field(default=1_200.0, gt=0)
    """How long a replay waits for a receipt: longer than all retries of a message that fails again."""
    editing: bool = False
    """Whether dead letters may be edited before they are replayed."""
    closed_days: int = Field(default=90, ge=1)
    """How long a dead letter is kept after it was decided about; an open one is kept for ever."""

    development_operator_key: SecretStr | None = None
    """A key that is made good at each seeding, on a developer's machine."""

    @override
    def weak_secrets(self) -> Iterable[str]:
        yield from super().weak_secrets()
        if self.development_operator_key:
            yield "a development key is given"
