"""What every service that is spoken to by REST can be told by its environment."""

from limits import parse
from pydantic import Field, field_validator

from messaging.settings import ServiceSettings


class RestSettings(ServiceSettings):
    """Settings that REST services share; each gives the bounds that suit it. Durations are seconds."""

    body_limit: int = Field(ge=1_024)
    """Bytes that a request's body may have; more is answered with 413."""
    rate_limit: str
    """Requests that one key may send to one process, for example `500/second`; more are answered with 429."""
    key_interval: float = Field(default=5.0, gt=0)
    """How long an ended key may still work."""

    @field_validator("rate_limit")
    @classmethod
    def _is_a_rate(cls, value: str) -> str:
        parse(value)  # raises ValueError
        return value
