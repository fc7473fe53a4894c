"""What is run with --stack, and without; these few need no engine."""

import subprocess
import sys
from pathlib import Path

from tests.docs.markdown import ROOT

THIS = Path(__file__).parent


def collected(*options: str, path: str = "/nowhere") -> subprocess.CompletedProcess[str]:
    """What pytest says of this folder's tests, on a machine with these programs."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options, str(THIS)]
    return subprocess.run(command, cwd=ROOT, env={"PATH": path}, capture_output=True, text=True, check=False)  # noqa: S603


def test_without_an_engine_containers_are_refused() -> None:
    """Who asks for them where there is no engine gets no tests, but the reason."""
    refused = collected("--stack", "compose")
    assert refused.returncode != 0
    assert "--stack compose needs Docker Engine with Compose v2: docker is not on PATH" in refused.stderr


def test_an_engine_that_does_not_answer_is_none(tmp_path: Path) -> None:
    """The reason is what docker says itself."""
    (tmp_path / "docker").write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    refused = collected("--stack", "compose", path=f"{tmp_path}:/bin")
    assert refused.returncode != 0
    assert "Cannot connect to the Docker daemon" in refused.stderr


def test_what_needs_containers_is_named_when_it_is_left_out() -> None:
    """Without --stack these tests do not run, which is said, with the way to run them."""
    left_out = collected()
    assert left_out.returncode == 0, left_out.stdout
    assert "compose: not run (./run test --stack compose)" in left_out.stdout
    assert "test_crashes.py" not in left_out.stdout
