"""The usual port if it is free, else the next; never the same one twice."""

import socket
import subprocess
import sys

from devstack import ports


def test_the_next_port_is_taken_where_the_usual_one_is_busy() -> None:
    """A listener on 127.0.0.1 makes a port busy."""
    wanted = ports.any_free_port()
    with socket.create_server(("127.0.0.1", wanted)):
        assert not ports.is_free(wanted)
        assert ports.is_listening(wanted)
        assert ports.next_free_port(wanted) > wanted


def test_a_listener_on_all_addresses_makes_a_port_busy() -> None:
    """Else a server of ours would shadow another program's."""
    wanted = ports.any_free_port()
    with socket.create_server(("0.0.0.0", wanted)):  # noqa: S104 - closed again at once
        assert not ports.is_free(wanted)


def test_a_port_that_another_stack_was_given_is_not_taken() -> None:
    """Its server may not listen yet; stacks that start side by side do not meet."""
    code = "from devstack import ports; print(ports.next_free_port(26000), flush=True); input()"
    arguments = [sys.executable, "-c", code]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:  # noqa: S603
        assert other.stdout is not None
        taken = int(other.stdout.readline())
        assert ports.is_free(taken)
        assert ports.next_free_port(taken) != taken
        other.communicate("\n")


def test_no_port_is_handed_out_twice() -> None:
    """A server that was given a port may not listen yet when the next one asks."""
    handed_out = [ports.next_free_port(25000) for _ in range(5)]
    assert len(set(handed_out)) == len(handed_out)
