"""The walk through the API that docs/api.md describes, as a reader takes it: in a shell, command after command."""

import asyncio
import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Block, Page
from tests.e2e.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.database]

PAGE = Page(ROOT / "docs" / "api.md")
SETTING, *STEPS = PAGE.blocks("sh")
CURL = Path(__file__).with_name("curl.py")
"""For machines without curl."""


def answers() -> list[list[str]]:
    """The lines that each step is to print: those of the block behind it, if that shows an answer."""
    shown: list[list[str]] = []
    for block, following in pairwise([*PAGE.blocks(), Block("end", "sh", "")]):
        if block.language == "sh" and block.place != SETTING.place:
            shown.append([] if following.language == "sh" else following.text.splitlines())
    return shown


async def test_each_step_prints_what_the_page_shows(system: System, tmp_path: Path) -> None:
    """Every line of every answer is found in the output of its command, and every command succeeds."""
    mark = "=" * 20
    script = "\n".join(["set -eu", *(f"{step.text}\necho; echo '{mark}'" for step in STEPS)])
    path = os.environ["PATH"]
    if not shutil.which("curl"):
        (tmp_path / "curl").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{CURL}" "$@"\n')
        (tmp_path / "curl").chmod(0o755)
        path = f"{tmp_path}{os.pathsep}{path}"
    keys = system.wiring.api_keys
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script,
        env={"PATH": path, "API": system.api, "KEY": keys["client"], "OPERATOR": keys["operator"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(shell.communicate(), 60)
    assert shell.returncode == 0, err.decode()
    outputs = out.decode().split(mark)[:-1]
    for step, output, shown in zip(STEPS, outputs, answers(), strict=True):
        missing = [line for line in shown if line not in output]
        assert not missing, f"{step.place} does not print {missing}, but {output}"


def test_the_page_shows_an_answer_to_each_command() -> None:
    """Nothing is run for its own sake."""
    assert len(STEPS) == len(answers()) > 5
    assert all(answers())
