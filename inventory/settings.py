"""What inventory can be told by its environment."""

from pydantic_settings import SettingsConfigDict

from messaging.settings import ServiceSettings


class Settings(ServiceSettings):
    """Inventory's settings, from variables that begin with INVENTORY_."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_")
