"""What a run came to: as JSON, as one plain page, and as a table for docs/faults.md."""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from devstack.paths import CHECKOUT, STACK
from tests.faults.catalogue import FAULTS, SHOWN_ELSEWHERE, chosen
from tests.faults.suite import Run

FOLDER = STACK / "faults"
JSON, PAGE = FOLDER / "report.json", FOLDER / "report.html"
_FORMS = ("smoke", "short", "full")
HEADINGS = (
    "no.",
    "fault",
    "orders/s held (planned)",
    "accepted",
    "lost",
    "doubled",
    "indeterminate",
    "flow after",
    "wait: median",
    "p99",
    "backlog gone after",
    "goal",
)


def told(run: Run) -> dict[str, Any]:
    """All of it, as JSON can hold it."""
    return {
        "command": _command(run),
        "form": run.form,
        "seed": run.seed,
        "at": datetime.fromtimestamp(run.began, UTC).isoformat(timespec="seconds"),
        "seconds": round(run.seconds, 1),
        "versions": {"Python": platform.python_version(), **run.versions, "commit": _commit()},
        "faults": [asdict(outcome) for outcome in run.outcomes],
        "shown_elsewhere": {str(line): list(shown) for line, shown in SHOWN_ELSEWHERE.items()},
    }


def write(report: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """Keep it as report.json and report.html."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON.name).write_text(json.dumps(report, indent=1))
    (folder / PAGE.name).write_text(page(report))


def page(report: Mapping[str, Any]) -> str:
    """One page that needs nothing else."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    rows = [(fault, cells(fault)) for fault in report["faults"]]
    return templates.get_template("report.html.j2").render(report=report, headings=HEADINGS, rows=rows)


def table(report: Mapping[str, Any]) -> str:
    """The faults as a Markdown table."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(cells(fault) for fault in report["faults"])]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def catalogue() -> str:
    """Every line of the table: a fault of ours, or the tests that show it."""
    cases = [
        (fault.number, f"`{fault.name}`", fault.what, str(fault.goal), ", ".join(sorted(fault.forms, key=_FORMS.index)))
        for fault in FAULTS
    ]
    shown = [
        (number, f"[{Path(path).name}](../{path})", what, "", "a test of its own")
        for number, (what, path) in SHOWN_ELSEWHERE.items()
    ]
    lines = ["| no. | name | what is done | goal | in |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(map(str, line))} |" for line in sorted([*cases, *shown], key=lambda line: line[0])]
    return "\n".join(lines)


def cells(fault: Mapping[str, Any]) -> Sequence[str]:
    """A fault's line, below HEADINGS."""
    recovery = fault["recovery"]
    head = [str(fault["number"]), fault["name"]]
    if recovery is None:
        return [*head, *["-"] * 9, f"not done: {fault['skipped']}" if fault["skipped"] else "not done"]
    seconds = [f"{recovery[name]:.1f} s" for name in ("flow", "median", "p99", "backlog")]
    figures = [str(fault[name]) for name in ("accepted", "lost", "doubled", "indeterminate")]
    rates = f"{fault['held_rate']:.0f} ({fault['planned_rate']:.0f})"
    goal = f"{fault['goal']}: {'met' if fault['goal_met'] else '**not met**'}"
    return [*head, rates, *figures, *seconds, goal]


def _command(run: Run) -> str:
    """What repeats the run, but for its rate."""
    names = [outcome.name for outcome in run.outcomes]
    whole = names == [fault.name for fault in chosen(run.form)]
    only = [] if whole else [f"--only {name}" for name in dict.fromkeys(names)]
    return " ".join(["./run faults", f"--{run.form}", f"--seed {run.seed}", *only])


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - wherever git is
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"
