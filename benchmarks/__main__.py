"""`python -m benchmarks`, which `./run bench` hands over to."""

from typing import Annotated

import typer
from rich.console import Console

from benchmarks import compare as comparison
from benchmarks import growth as growing
from benchmarks import outage as outages
from benchmarks.results import Results
from benchmarks.run import FOLDER, alone, chosen, measure, publish
from benchmarks.turn import Plan
from devstack.entry import enter
from devstack.errors import StackError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

SHORT_SECONDS = 3.0


@app.command()
def bench(  # noqa: PLR0913 - options
    *,
    short: Annotated[bool, typer.Option("--short", help="One round of short loops, to see it work.")] = False,
    only: Annotated[str, typer.Option(help="Contenders, with commas: ours,limit. Without it, all.")] = "",
    rounds: Annotated[
        int | None, typer.Option(min=1, help="How often each takes its turn; 3, or 5 to compare.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="How long each loop of orders is.")] = 8,
    compare: Annotated[
        bool, typer.Option("--compare", help="Ours beside the limit program, as a ratio beside the one that is kept.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Measure as --compare does, and keep the ratios.")] = False,
    growth: Annotated[
        bool, typer.Option("--growth", help="Ours with more lines, old orders, replicas, and with a backlog.")
    ] = False,
    old: Annotated[
        int, typer.Option(min=100, help="Of --growth: old orders at most; a tenth and a hundredth, too.")
    ] = (1_000_000),
    backlog: Annotated[int, typer.Option(min=1, help="Of --growth: orders that wait when consumers start.")] = 100_000,
    outage: Annotated[
        float,
        typer.Option(min=0, help="Kill RabbitMQ for so long, at half of our capacity.", metavar="SECONDS"),
    ] = 0,
) -> None:
    """Measure our pipeline beside others that do the same work, on the same servers.

    A round takes about a minute for each contender. What is measured, and what it does not tell: docs/benchmarks.md.
    """
    compares = compare or keep
    console = Console()
    fractions = (0.5,) if short or compares else Plan.fractions
    plan = Plan(seconds=min(seconds, SHORT_SECONDS) if short else seconds, fractions=fractions)
    if growth:
        with alone():
            grown = growing.grow(plan, rounds or (1 if short else 5), old, backlog, console)
            growing.publish(grown, console)
        _complain(grown.results)
        return
    if outage:
        with alone():
            outages.publish(outages.ride_out(plan, outage, console), console)
        return
    entries = [(each, plan) for each in chosen("ours,limit" if compares else only)]
    with alone():
        results = measure(entries, rounds or (1 if short else 5 if compares else 3), console)
        publish(results, console)
    _complain(results)
    if keep:
        comparison.keep(comparison.measured(results))
        console.print(f"Kept in {comparison.FILE}: commit it.", soft_wrap=True)
    elif compare:
        _compare(comparison.measured(results), console)


def _complain(results: Results) -> None:
    if results.failures:
        raise StackError(f"not every turn came to its end; the logs are in {FOLDER / 'logs'}")


def _compare(now: comparison.Ratios, console: Console) -> None:
    before = comparison.kept()
    if not before:
        raise StackError("no ratios are kept to compare with: ./run bench --keep")
    if worse := comparison.worse(now, before):
        raise StackError("worse than what is kept, beyond the spread of both:\n" + "\n".join(worse))
    console.print("Nothing got worse beyond the spread of the rounds.")


if __name__ == "__main__":
    enter(app, "./run bench")
