"""What the order API can be told by its environment."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from messaging.settings import ServiceSettings
from order_api.domain import Patience

DAY = 86_400.0


class Settings(ServiceSettings):
    """The order API's settings, from variables that begin with ORDER_API_. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="ORDER_API_")

    body_limit: int = Field(default=65_536, ge=1_024)
    """Bytes that a request's body may have; more is answered with 413."""
    catalogue_interval: float = Field(default=5.0, gt=0)
    """How old the prices may be at which orders are accepted."""

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
    def patience(self) -> Patience:
        """The deadlines together."""
        return Patience(
            first=self.first_deadline,
            longest=self.longest_deadline,
            redrives=self.redrives_before_cancel,
            expiry=self.expiry,
        )
