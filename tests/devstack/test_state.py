"""Files that a stack leaves for others: addresses, locks, a place that `nobody` can reach."""

import os
import stat
from pathlib import Path

import pytest

from devstack.endpoints import Endpoints, read_endpoints
from devstack.errors import StackError
from devstack.single import held, holder
from devstack.unprivileged import reachable, reachable_folder

ENDPOINTS = Endpoints(
    "http://127.0.0.1:8000",
    "http://127.0.0.1:8100",
    "amqp://u:p@127.0.0.1:5672/",
    None,
    {"payment": "postgresql://u:p@h/d"},
    {"client": "sk_c", "operator": "sk_o"},
)


def test_only_its_user_can_read_the_endpoints(tmp_path: Path) -> None:
    """They hold passwords."""
    path = tmp_path / "endpoints.json"
    ENDPOINTS.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_endpoints(path) == ENDPOINTS


def test_without_endpoints_the_error_says_how_to_start(tmp_path: Path) -> None:
    """`./run order` on a stack that is down is answered with the way up."""
    with pytest.raises(StackError, match=r"\./run up"):
        read_endpoints(tmp_path / "endpoints.json")


def test_one_supervisor_at_a_time(tmp_path: Path) -> None:
    """The second is told who the first is; when the first is gone the lock is free, whatever the file says."""
    path = tmp_path / "up.lock"
    with held(path, busy="busy"):
        assert holder(path) == os.getpid()
        with pytest.raises(StackError, match=f"busy .process {os.getpid()}"), held(path, busy="busy"):
            pass
    assert path.exists()
    assert holder(path) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs PostgreSQL as himself")
def test_root_below_a_private_home_gets_a_folder_that_nobody_can_reach(tmp_path: Path) -> None:
    """Pytest's own folders are such a place; a second call names the same folder."""
    private = tmp_path / "home"
    private.mkdir(mode=0o700)
    found = reachable_folder(private / "postgresql")
    assert reachable(found)
    assert reachable_folder(private / "postgresql") == found
    private.rmdir()
    reachable_folder(tmp_path / "another").rmdir()
    assert not found.exists()
