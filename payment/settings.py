"""What payment can be told by its environment."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from messaging.settings import ServiceSettings


class Settings(ServiceSettings):
    """Payment's settings, from variables that begin with PAYMENT_. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="PAYMENT_")

    gateway_latency: float = Field(default=0.02, ge=0)
    """How long the simulated card gateway takes to answer."""
    gateway_timeout: float = Field(default=2.0, gt=0)
    """How long a call to the gateway may take before it counts as unanswered; its status query may take as long."""
    gateway_breaker_threshold: int = Field(default=20, ge=1)
    """Failures in a row after which the gateway is left alone."""
    gateway_breaker_reset: float = Field(default=1.0, gt=0)
    """How long it is left alone before it is tried again."""
