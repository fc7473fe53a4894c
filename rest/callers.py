"""Who asks: a client, known by one of its API keys, and what that key allows."""

import re
import secrets
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What an API key allows."""

    READ = "orders:read"
    WRITE = "orders:write"
    OPERATIONS = "operations"
    """The operators of this system: they see every client's orders and book receipts of goods."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A client, and the key that it used."""

    client_id: str
    key: str
    """The key's prefix, which is no secret."""
    scopes: frozenset[Scope]

    @property
    def actor(self) -> str:
        """How an audit names the caller."""
        return f"{self.client_id} (key {self.key})"

    def may(self, scope: Scope) -> bool:
        """Whether the key allows it; operators may read all."""
        return scope in self.scopes or (scope is Scope.READ and Scope.OPERATIONS in self.scopes)

    def sees(self, client_id: str) -> bool:
        """Whether that client's orders exist for the caller."""
        return client_id == self.client_id or Scope.OPERATIONS in self.scopes


_TOKEN = re.compile(r"ord_([0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
"""`ord_`, the prefix that names the key, and 32 random bytes. The fixed start lets scanners find leaked keys."""


def new_token() -> str:
    """Make an API key. It is shown once; only its digest is kept."""
    return f"ord_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"


def prefix_of(token: str) -> str | None:
    """The public part of a well-formed key."""
    match = _TOKEN.fullmatch(token)
    return match and match[1]
