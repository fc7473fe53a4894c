"""Every fault, by its name; and those of the table that a test of its own shows."""

from collections.abc import Collection, Mapping

from tests.faults.cases import crashes, messages, networks, remote_ends, servers, topologies
from tests.faults.fault import Fault, Form

FAULTS: tuple[Fault, ...] = tuple(
    sorted(
        (
            *crashes.FAULTS,
            *servers.FAULTS,
            *networks.FAULTS,
            *messages.FAULTS,
            *remote_ends.FAULTS,
            *topologies.FAULTS,
        ),
        key=lambda fault: fault.number,
    )
)


def chosen(form: Form, only: Collection[str] = ()) -> list[Fault]:
    """Those of a form, or those of these names. Raises LookupError."""
    if not only:
        return [fault for fault in FAULTS if form in fault.forms]
    known = {fault.name: fault for fault in FAULTS}
    if unknown := [name for name in only if name not in known]:
        raise LookupError(f"no fault is named {', '.join(unknown)}: ./run faults --list names them")
    return [known[name] for name in only]


SHOWN_ELSEWHERE: Mapping[int, tuple[str, str]] = {
    8: ("the leader of three nodes is killed", "tests/cluster/test_faults.py"),
    9: ("the leader of three nodes is isolated", "tests/cluster/test_faults.py"),
    10: ("the leader of three nodes stands still", "tests/cluster/test_faults.py"),
    11: ("two of three nodes are down", "tests/cluster/test_faults.py"),
    27: ("fuzzed REST", "tests/api/test_fuzz.py"),
    28: ("every route without, or with the wrong, key", "tests/unit/order_api/test_authentication.py"),
    29: ("a rogue user of the broker", "tests/broker/test_rights.py"),
    30: ("old and new version side by side under load", "tests/stack/test_rollout.py"),
}
"""By its line in the table: what it is, and the tests that show it."""
