"""Lock files work for everybody: they name no host and no folder of the machine they were made on."""

import re
from pathlib import Path

import pytest

LOCKS = sorted((Path(__file__).parents[2] / "requirements").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_file_names_no_host_and_has_hashes(lock: Path) -> None:
    """Each requirement is pinned, with hashes."""
    text = lock.read_text()
    assert not re.search(r"://|--(extra-)?index|--find-links|@ /", text)
    pinned = re.findall(r"^[a-z0-9][\w.-]*(?:\[[\w,-]+\])?==\S+.*\\\n +--hash=sha256:", text, re.MULTILINE)
    assert pinned
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
