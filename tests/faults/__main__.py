"""`./run faults`: does faults to the whole system under load, and reports what came of each."""

import asyncio
import json
import logging
import random
import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.faults import report
from tests.faults.cases.crashes import at_points
from tests.faults.catalogue import FAULTS, SHOWN_ELSEWHERE, chosen
from tests.faults.fault import Fault, Form
from tests.faults.runner import Outcome
from tests.faults.suite import drawn, run

MOST_SHOWN = 10
"""Problems of one fault that are named on the terminal."""
console = Console(highlight=False, soft_wrap=True)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def faults(  # noqa: PLR0913 - each is an option of the command line
    *,
    smoke: Annotated[bool, typer.Option("--smoke", help="The least that shows anything: about two minutes.")] = False,
    short: Annotated[bool, typer.Option("--short", help="What is done if nothing is said: 20 orders/s.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Every fault, 50 orders/s, 1,000 orders each: hours.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This fault; may be given several times. See --list.")
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="POINT", help="Crash points alone, and of them those whose names hold this."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Repeats a run; it is printed by each.", show_default="drawn")] = 0,
    rate: Annotated[
        float | None, typer.Option(min=0.5, help="Orders a second.", show_default="of the form: 20 or 50")
    ] = None,
    minutes: Annotated[
        float, typer.Option("--random", metavar="MINUTES", help="Faults drawn by lot, for so many minutes.")
    ] = 0.0,
    listed: Annotated[bool, typer.Option("--list", help="Name every fault, and do none.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Write the last run's figures as a Markdown table.")] = False,
) -> None:
    """Do faults to the whole system under load: kill, freeze, cut off, fill up; then judge what is left.

    Servers and services are private and end with the run. Status 1 says that an invariant is broken, or that a fault
    could not be done; a goal that is not met is shown and counted. Report: .stack/faults/report.html and report.json.
    """
    if [smoke, short, full].count(True) > 1:
        raise typer.BadParameter("one of --smoke, --short and --full")
    if listed:
        _list()
    elif table:
        _table()
    else:
        form: Form = "smoke" if smoke else "full" if full else "short"
        try:
            wanted = [at_points(form, at)] if at else chosen("full" if minutes else form, only or ())
        except LookupError as unknown:
            raise typer.BadParameter(str(unknown), param_hint="--at" if at else "--only") from None
        raise typer.Exit(_do(wanted, form, seed or random.SystemRandom().randrange(1, 1_000_000), minutes, rate))


def _do(wanted: list[Fault], form: Form, seed: int, minutes: float, rate: float | None) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGINT too: a shell's background jobs ignore it
        signal.signal(number, _interrupted)
    for client in ("aio_pika", "aiormq"):  # the load's own connections are cut and blocked, too: that is what is done
        logging.getLogger(client).setLevel(logging.CRITICAL)
    console.print(f"Seed {seed}. A system of its own is started first: half a minute.")
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=None if minutes else len(wanted))

        def tell(fault: Fault, outcome: Outcome | None) -> None:
            bar.update(task, description=fault.name, advance=0 if outcome is None else 1)
            if outcome is not None:
                console.print(_line(outcome))

        found = asyncio.run(run(drawn(wanted, seed, minutes) if minutes else wanted, form, seed, tell, rate))
    report.write(report.told(found))
    late = [outcome.name for outcome in found.outcomes if outcome.safe and not outcome.skipped and not outcome.goal_met]
    console.print(f"Report: {report.PAGE}")
    if late:
        console.print(f"[yellow]Goals not met: {', '.join(late)}[/]")
    if not found.safe:
        console.print(f"[bold red]Broken, or not done.[/] Repeat it with --seed {seed}.")
    return 0 if found.safe else 1


def _interrupted(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _line(outcome: Outcome) -> str:
    if not outcome.safe:
        problems = [problem for problem in (outcome.error, *outcome.violations) if problem]
        more = [f"and {len(problems) - MOST_SHOWN} more, in the report"] if len(problems) > MOST_SHOWN else []
        told = "\n".join(f"    {escape(problem)}" for problem in [*problems[:MOST_SHOWN], *more])
        return f"[bold red]✗[/] {outcome.name}\n{told}"
    if outcome.skipped:
        return f"[dim]-[/] {outcome.name}: not done here, as {outcome.skipped}"
    found = outcome.recovery
    assert found is not None
    mark = "[green]✓[/]" if outcome.goal_met else "[yellow]![/]"
    beyond = "".join(f"; {note['what']}: {note['value']:.1f}" for note in outcome.notes if not note["met"])
    return (
        f"{mark} {outcome.name}: {outcome.accepted} orders, none lost, none twice; they flow {found.flow:.1f} s after "
        f"it, the backlog is gone after {found.backlog:.1f} s ({outcome.goal}){beyond} [dim]{outcome.seconds:.0f} s[/]"
    )


def _list() -> None:
    shown = Table("no.", "name", "what is done", "goal", "in", box=None)
    for fault in FAULTS:
        forms = ", ".join(form for form in ("smoke", "short", "full") if form in fault.forms)
        shown.add_row(str(fault.number), fault.name, fault.what, str(fault.goal), forms)
    for number, (what, tests) in SHOWN_ELSEWHERE.items():
        shown.add_row(str(number), "-", what, f"shown by {tests}", "")
    Console(highlight=False).print(shown)


def _table() -> None:
    try:
        found = json.loads(report.JSON.read_text())
    except FileNotFoundError:
        raise typer.BadParameter("there is no report yet: ./run faults --short makes one") from None
    print(report.table(found))  # noqa: T201 - for a file


if __name__ == "__main__":
    app(prog_name="./run faults")
