"""What shipping can be told by its environment."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from messaging.settings import ServiceSettings


class Settings(ServiceSettings):
    """Shipping's settings, from variables that begin with SHIPPING_. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="SHIPPING_")

    carrier_latency: float = Field(default=0.02, ge=0)
    """How long the simulated carrier takes to answer."""
    carrier_timeout: float = Field(default=2.0, gt=0)
    """How long a call to the carrier may take before it counts as unanswered; its status query may take as long."""
    carrier_breaker_threshold: int = Field(default=20, ge=1)
    """Failures in a row after which the carrier is left alone."""
    carrier_breaker_reset: float = Field(default=1.0, gt=0)
    """How long it is left alone before it is tried again."""
    undo_interval: float = Field(default=1.0, gt=0)
    """How often bookings of cancelled orders are looked for."""
