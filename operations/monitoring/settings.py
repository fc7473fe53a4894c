"""What monitoring can be told by its environment."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class MonitoringSettings(BaseSettings):
    """Variables that begin with OPERATIONS_MONITORING_. Durations are seconds."""

    model_config = SettingsConfigDict(
        env_prefix="OPERATIONS_MONITORING_", env_nested_delimiter="__", hide_input_in_errors=True
    )

    interval: float = Field(default=30.0, gt=0)
    """How often a snapshot is taken."""
    management_url: SecretStr = SecretStr("")
    """RabbitMQ's management API, `http://user:password@host:15672`; without it nothing is known of the broker."""
    addresses: dict[str, str] = {}
    """Where services answer `/livez`, `/readyz` and `/metrics`: `OPERATIONS_MONITORING_ADDRESSES__PAYMENT`."""
