"""What the order API can be told by its environment."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from messaging.settings import ServiceSettings


class Settings(ServiceSettings):
    """The order API's settings, from variables that begin with ORDER_API_."""

    model_config = SettingsConfigDict(env_prefix="ORDER_API_")

    body_limit: int = Field(default=65_536, ge=1_024)
    """Bytes that a request's body may have; more is answered with 413."""
    catalogue_interval: float = Field(default=5.0, gt=0)
    """How old, in seconds, the prices may be at which orders are accepted."""
