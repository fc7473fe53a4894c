"""What devstack starts ends with it, however it ends."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from devstack.errors import NotReadyError
from devstack.process import Process
from devstack.servers import PostgresServer, RabbitServer
from devstack.spawning import Program
from tests.devstack.processes import command, descendants, gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children on Linux only")

SERVERS = """
    import sys, time
    from pathlib import Path
    from devstack.servers import PostgresServer, RabbitServer

    folder = Path(sys.argv[1])
    rabbitmq, postgres = RabbitServer(folder / "rabbitmq"), PostgresServer(folder / "postgresql")
    rabbitmq.launch()
    postgres.start()
    rabbitmq.wait_ready()
    print("ready", flush=True)
    time.sleep(600)
"""

SLEEPER_FROM_A_SHORT_THREAD = """
    import os, sys, threading, time
    from pathlib import Path
    from devstack.process import Process
    from devstack.spawning import Program

    folder = Path(sys.argv[1])
    sleeper = Process("sleeper", Program(["sleep", "600"], os.environ, folder, folder / "log"))
    thread = threading.Thread(target=sleeper.launch)
    thread.start()
    thread.join()
    time.sleep(0.2)
    print("running" if sleeper.running else "ended", flush=True)
    time.sleep(600)
"""

LIMITED = """
    import os, resource, sys
    from pathlib import Path
    from devstack.process import Process
    from devstack.spawning import Program

    folder = Path(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 600))
    shell = Program(["sh", "-c", "ulimit -n"], os.environ, folder, folder / "log", open_files={wanted})
    process = Process("limited", shell)
    process.launch()
    process.wait(seconds=10)
"""


def supervisor(source: str, folder: Path) -> subprocess.Popen[str]:
    """Run a supervisor in a process of its own, so that it can be killed."""
    arguments = [sys.executable, "-c", textwrap.dedent(source), str(folder)]
    return subprocess.Popen(  # noqa: S603 - our own program
        arguments, stdout=subprocess.PIPE, text=True
    )


def program(folder: Path, *arguments: str) -> Program:
    """Return a program that runs in the test's folder."""
    return Program(arguments, os.environ, folder, folder / "log")


@pytest.mark.broker
@pytest.mark.database
def test_no_server_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """SIGKILL of the supervisor leaves no beam.smp, erl_child_setup, inet_gethost, epmd or postgres behind."""
    with supervisor(SERVERS, tmp_path) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "ready\n"
        children = descendants(killed.pid)
        commands = " ".join(command(pid) for pid in children)
        assert all(name in commands for name in ("beam.smp", "erl_child_setup", "inet_gethost", "epmd", "postgres"))
        killed.kill()
    assert gone(children, seconds=10)


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """The kernel ends a child with the thread that forked it; ours are forked by one that stays."""
    with supervisor(SLEEPER_FROM_A_SHORT_THREAD, tmp_path) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "running\n"
        children = descendants(killed.pid)
        assert len(children) == 1
        killed.kill()
    assert gone(children, seconds=5)


def test_a_process_that_ends_early_is_an_error_with_its_log(tmp_path: Path) -> None:
    """Nobody waits the whole time for something that ended, and its last words are in the error."""
    process = Process("greeter", program(tmp_path, "sh", "-c", "echo no such luck; exit 3"))
    process.launch()
    with pytest.raises(NotReadyError, match=r"greeter ended with status 3(?s:.*)no such luck"):
        process.wait_ready(lambda: False, seconds=30)
    process.kill()


def test_a_process_that_ignores_sigterm_is_ended_with_its_group(tmp_path: Path) -> None:
    """Stopping takes no longer than it was given, and what the process forked ends as well."""
    process = Process("deaf", program(tmp_path, "sh", "-c", "trap '' TERM; sleep 600 & echo on; wait; sleep 600"))
    process.launch()
    process.wait_ready(lambda: "on" in (tmp_path / "log").read_text(), seconds=10)
    family = {process.pid} | descendants(process.pid)
    process.stop(seconds=0.2)
    assert gone(family, seconds=5)


@pytest.mark.parametrize(("wanted", "given"), [(512, 512), (100, 256), (10_000_000, 600)])
def test_a_server_may_open_more_files_than_the_shell_allows(tmp_path: Path, wanted: int, given: int) -> None:
    """A login shell's limit is often 1,024, too few for a broker; never lowered, never above the hard limit."""
    with supervisor(LIMITED.format(wanted=wanted), tmp_path) as limited:
        assert limited.wait(10) == 0
    assert (tmp_path / "log").read_text() == f"{given}\n"


@pytest.mark.database
def test_postgresql_keeps_what_it_committed_when_it_is_killed(tmp_path: Path) -> None:
    """A second start on the same folder finds the databases again, after a kill and after an immediate stop."""
    server = PostgresServer(tmp_path / "postgresql", config=["fsync = off"])
    try:
        server.start()
        server.create_database("kept")
        server.kill()
        server.start()
        server.immediate_stop()
        server.start()
        assert server.create_database("kept") == server.url("kept")
    finally:
        server.discard = True
        server.stop()


@pytest.mark.broker
def test_rabbitmq_is_the_process_that_it_says_and_answers_ctl(rabbitmq_server: RabbitServer) -> None:
    """`pid` is the Erlang node itself, so that a test can kill the broker and not a shell script."""
    assert "beam.smp" in command(rabbitmq_server.pid)
    assert "orders" in rabbitmq_server.ctl("list_users", "--silent")
    os.kill(rabbitmq_server.pid, signal.SIGCONT)  # raises if it were not there


@pytest.mark.broker
def test_rabbitmq_reads_the_settings_of_every_environment(rabbitmq_server: RabbitServer) -> None:
    """Milliseconds after which a retry tier offers again what a work queue refused, of advanced.config."""
    asked = "application:get_env(rabbit, dead_letter_worker_publisher_confirm_timeout)."
    assert "{ok,10000}" in rabbitmq_server.ctl("eval", asked)
