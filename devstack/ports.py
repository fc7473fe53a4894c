"""Ports on 127.0.0.1: the usual one where it is free, else the next; or any, for servers that nobody types by hand."""

import random
import socket
import threading

from devstack.errors import StackError

_ANY = range(20000, 30000)  # below what Linux and macOS hand to outgoing connections
_given: set[int] = set()
_lock = threading.Lock()


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
    """Return `preferred`, or the first free port after it. No port is handed out twice by one process."""
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
            if port not in _given and is_free(port):
                _given.add(port)
                return port
    raise StackError(f"no free port on 127.0.0.1 from {candidates[0]}")
