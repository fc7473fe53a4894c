"""The nodes of a RabbitMQ cluster, as a setting and as URLs."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator
from pydantic_settings import NoDecode
from yarl import URL


def read_nodes(value: Any) -> tuple[str, ...]:
    """Nodes as the environment gives them: `rabbitmq1:5672,rabbitmq2`. Raises ValueError, which repeats none."""
    given: Iterable[Any] = value.split(",") if isinstance(value, str) else value
    nodes = tuple(str(node).strip() for node in given)
    if nodes == ("",):
        return ()
    if not all(map(_is_node, nodes)):
        raise ValueError(
            "each node is host or host:port, with commas between, as in rabbitmq1:5672,rabbitmq2:5672; "
            "scheme, user, password and virtual host are in the URL"
        )
    return nodes


Nodes = Annotated[tuple[str, ...], NoDecode, BeforeValidator(read_nodes)]
"""Each `host` or `host:port`; none means that there is one server only."""


def at_nodes(url: str, nodes: Sequence[str]) -> list[str]:
    """The URL at each of the nodes, or as it is if there are none. A node without a port has the URL's."""
    address = URL(url)
    places = [urlsplit(f"//{node}") for node in nodes]
    return [
        str(address.with_host(place.hostname or "").with_port(place.port or address.explicit_port)) for place in places
    ] or [url]


def _is_node(node: str) -> bool:
    try:
        place = urlsplit(f"//{node}")
        return bool(place.hostname) and place.port != 0 and place.netloc == node and "@" not in node and " " not in node
    except ValueError:  # a port that is none, or half an address
        return False
