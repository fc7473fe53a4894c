"""Ports on 127.0.0.1: the usual one where it is free, else the next; or any, for servers that nobody types by hand.

A server listens seconds after its port was chosen. Until then, and for as long as this process lives, an abstract Unix
socket (on Linux) claims the port, which other stacks on the machine see, whoever runs them.
"""

import atexit
import random
import socket
import sys
import threading

from devstack.errors import StackError

_ANY = range(20000, 30000)  # below what Linux and macOS hand to outgoing connections
_claims: dict[int, socket.socket | None] = {}
_lock = threading.Lock()


@atexit.register
def _let_go() -> None:
    """Close the claims at the end of the process, where Python would complain of them."""
    while _claims:
        _, claim = _claims.popitem()
        if claim is not None:
            claim.close()


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def next_free_port(preferred: int) -> int:
    """Return `preferred`, or the first free port after it. No port is handed out twice."""
    return _first_free(range(preferred, min(preferred + 1000, 65536)))


def any_free_port() -> int:
    """Return a free port from a wide range, so that stacks which start at the same time do not meet."""
    return _first_free(random.sample(_ANY, k=200))


def is_listening(port: int) -> bool:
    """Tell whether something accepts connections on this port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _first_free(candidates: range | list[int]) -> int:
    with _lock:
        for port in candidates:
            if port not in _claims and is_free(port) and _claim(port):
                return port
    raise StackError(f"no free port on 127.0.0.1 from {candidates[0]}")


def _claim(port: int) -> bool:
    if sys.platform != "linux":
        _claims[port] = None
        return True
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0faststream-orders-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims[port] = claim
    return True
