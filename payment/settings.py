"""What payment can be told by its environment."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from messaging.settings import ServiceSettings


class Settings(ServiceSettings):
    """Payment's settings, from variables that begin with PAYMENT_."""

    model_config = SettingsConfigDict(env_prefix="PAYMENT_")

    gateway_latency: float = Field(default=0.02, ge=0)
    """How long the simulated card gateway takes to answer, in seconds."""
    gateway_timeout: float = Field(default=2.0, gt=0)
    """How long a call to the gateway may take before it counts as unanswered, in seconds."""
