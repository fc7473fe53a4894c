"""The command `./run lock`."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from devstack.errors import StackError
from devstack.paths import CHECKOUT
from devstack.services import SERVICES

_UV = Path(sys.executable).parent / "uv"  # of the test group
_OPTIONS = [
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",  # no file names the host that packages were taken from
    "--no-header",
    "--quiet",
]
_SELECTIONS = {
    "runtime": ["pyproject.toml"],
    "test": ["pyproject.toml", "--group", "test", "--constraints", "requirements/runtime.txt"],
    **{service: ["--group", service, "--constraints", "requirements/runtime.txt"] for service in SERVICES},
    "scan": ["--group", "scan"],
    "bench": ["pyproject.toml", "--group", "bench", "--constraints", "requirements/runtime.txt"],
    "load": ["--group", "load", "--constraints", "requirements/runtime.txt"],
    "cloudwatch": ["--group", "cloudwatch", "--constraints", "requirements/runtime.txt"],
    "postgres": ["--group", "postgres", "--no-deps"],
    "node": ["--group", "node", "--no-deps"],
}


def lock(
    *,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Take the newest versions that pyproject.toml allows.")
    ] = False,
) -> None:
    """Write requirements/*.txt anew from pyproject.toml: one file a group, with hashes, for Python 3.11 to 3.13."""
    for group, selection in _SELECTIONS.items():
        target = f"requirements/{group}.txt"
        options = [*_OPTIONS, *(["--upgrade"] if upgrade else []), *selection, "--output-file", target]
        done = subprocess.run([_UV, "pip", "compile", *options], cwd=CHECKOUT, check=False)
        if done.returncode != 0:
            raise StackError(f"{target} could not be resolved")
        print(target)
