"""`./run bench`: contenders take turns, round by round; a report in Markdown, JSON and plots."""

import importlib
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.contender import Contender
from benchmarks.report import markdown
from benchmarks.results import FINISHED, HALF_LOAD, PYTHON, About, Results, this_machine
from benchmarks.servers import BenchServers
from benchmarks.turn import Plan, Turn, take_turn
from devstack.entry import literal
from devstack.environments import python_with
from devstack.errors import StackError
from devstack.paths import CHECKOUT, STACK
from devstack.single import held

FOLDER = STACK / "bench"
PEERS = Path(__file__).parent / "peers"
FIRST = ("ours", "limit", "tutorial")
"""In this order; the others follow by name."""


def available() -> list[str]:
    """Return the names of all contenders."""
    found = {path.parent.name for path in PEERS.glob("*/contender.py")}
    return [*(name for name in FIRST if name in found), *sorted(found - set(FIRST))]


def chosen(only: str) -> list[Contender]:
    """Return the contenders of a list with commas; all of them for an empty one. Raises StackError for another name."""
    known = available()
    wanted = [name.strip() for name in only.split(",") if name.strip()] or known
    if unknown := [name for name in wanted if name not in known]:
        raise StackError(f"there is no contender {', '.join(unknown)}; there are {', '.join(known)}")
    return [importlib.import_module(f"benchmarks.peers.{name}.contender").CONTENDER for name in wanted]


def alone() -> AbstractContextManager[None]:
    """Keep others from measuring at the same time. Raises StackError if somebody does already."""
    return held(STACK / "bench.lock", busy="a benchmark is running already")


Entry = tuple[Contender, Plan]
"""Who takes a turn, and what is done in it."""


def measure(entries: Sequence[Entry], rounds: int, console: Console) -> Results:
    """Start the servers and let all take turns, so many rounds."""
    with Rounds(console, rounds * len(entries)) as progress:
        progress.now("starting RabbitMQ and PostgreSQL")
        with BenchServers(FOLDER / "servers") as servers:
            return take_rounds(servers, entries, rounds, progress)


def take_rounds(servers: BenchServers, entries: Sequence[Entry], rounds: int, progress: "Rounds") -> Results:
    """Let all take turns, so many rounds. A turn that fails is noted, and the others go on."""
    turns: list[Turn] = []
    failures: list[str] = []
    for number in range(1, rounds + 1):
        for contender, plan in entries:
            label = f"round {number} of {rounds}, {contender.name}"
            try:
                turn = take_turn(contender, servers, plan, FOLDER / "logs", progress.teller(label))
            except StackError as failure:
                failures.append(f"{label}: {str(failure).splitlines()[0]}")
                progress.done(f"[red]✗[/] {label}: {literal(str(failure))}")
            else:
                turns.append(turn)
                progress.done(f"[green]✓[/] {label}: {_in_short(turn)}")
    about = {each.name: About(each.what, each.not_guaranteed) for each, _ in entries}
    return Results(this_machine(), entries[0][1].seconds, about, turns, failures)


def publish(results: Results, console: Console, folder: Path = FOLDER) -> None:
    """Write the report and the plots, and say where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, report = folder / "results.json", folder / "report.md"
    results.save(kept)
    report.write_text(markdown(results))
    console.print(markdown(results), markup=False, highlight=False, soft_wrap=True)
    command = [python_with("bench"), "-m", "benchmarks.plots", kept, folder]
    drawn = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if drawn.returncode:
        raise StackError(f"the plots could not be drawn:\n{drawn.stderr}")
    console.print(f"These are in {report}, {kept}, and, drawn, in", *drawn.stdout.split(), soft_wrap=True)


class Rounds:
    """What is being done, and how far it is: a bar on a terminal, a line for each turn elsewhere."""

    def __init__(self, console: Console, turns: int) -> None:
        columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._console = console
        self._task = self._bar.add_task("", total=turns)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def now(self, what: str) -> None:
        """Say what is being done."""
        self._bar.update(self._task, description=what)

    def teller(self, label: str) -> Callable[[str], None]:
        """Return what says what a turn is at."""
        return lambda what: self.now(f"{label}: {what}")

    def done(self, line: str) -> None:
        """Say that a turn is over."""
        self._bar.advance(self._task)
        self._console.print(line, highlight=False, soft_wrap=True)


def _in_short(turn: Turn) -> str:
    parts = [
        f"{FINISHED.of(turn):.0f} orders/s finished",
        f"{PYTHON.of(turn):.2f} ms of Python's processor time an order",
    ]
    half = HALF_LOAD.of(turn)
    return ", ".join([*parts, *([f"{half:.0f} ms p99 end to end at half load"] if half > 0 else [])])
