"""What monitoring can be told by its environment."""

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from messaging import secret_files
from messaging.nodes import Nodes
from messaging.settings import completed


class MonitoringSettings(BaseSettings):
    """Variables that begin with OPERATIONS_MONITORING_. Durations are seconds."""

    model_config = SettingsConfigDict(
        env_prefix="OPERATIONS_MONITORING_",
        env_nested_delimiter="__",
        hide_input_in_errors=True,
        secrets_dir=secret_files.folder(),
    )

    interval: float = Field(default=30.0, gt=0)
    """How often a snapshot is taken."""
    management_url: SecretStr = SecretStr("")
    """RabbitMQ's management API, `http://user:password@host:15672`; without it nothing is known of the broker."""
    management_nodes: Nodes = ()
    """The nodes of a cluster, `rabbitmq1,rabbitmq2`: when one does not answer, the next is asked.

    They stand in for the host of `management_url`, and for its port where they have their own."""
    amqp_password: SecretStr | None = Field(default=None, validation_alias="OPERATIONS_AMQP_PASSWORD")
    """The password of that URL's user, if it holds none: the same as on the broker."""
    addresses: dict[str, str] = {}
    """Where services answer `/livez`, `/readyz` and `/metrics`: `OPERATIONS_MONITORING_ADDRESSES__PAYMENT`."""

    @model_validator(mode="after")
    def _complete_url(self) -> Self:
        self.management_url = completed(self.management_url, self.amqp_password)
        return self
