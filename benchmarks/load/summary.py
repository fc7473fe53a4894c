"""The end of a load, as it is printed."""

from rich.console import Console
from rich.table import Table

from benchmarks.figures import percentile
from benchmarks.load.outcome import Outcome, Requests


def print_summary(outcome: Outcome, deepest: int, console: Console) -> None:
    """Print requests, orders, latencies and queues, and what is wrong."""
    console.print(_requests(outcome))
    console.print()
    for name, said in _figures(outcome, deepest).items():
        console.print(f"  {name:<27}{said}", highlight=False, soft_wrap=True)
    console.print()
    for complaint in outcome.complaints:
        console.print(f"[red]✗[/] {complaint}", highlight=False, soft_wrap=True)
    if not outcome.complaints:
        console.print("[green]✓[/] Every accepted order ended as it should; nothing is left over.", highlight=False)


def _requests(outcome: Outcome) -> Table:
    table = Table("what customers did", box=None)
    for heading in ("times", "failed", "p50, ms", "p99, ms"):
        table.add_column(heading, justify="right")
    for each in outcome.requests:
        table.add_row(
            each.name, str(each.count), str(each.failed), *(f"{_of(each, share):.0f}" for share in (0.5, 0.99))
        )
    return table


def _figures(outcome: Outcome, deepest: int) -> dict[str, str]:
    median, worst = (f"{1000 * percentile(outcome.seconds, share):.0f} ms" for share in (0.5, 0.99))
    endings = ", ".join(f"{count} {ending}" for ending, count in outcome.endings.most_common())
    left = sum(outcome.depths.waiting.values())
    return {
        "orders accepted": str(len(outcome.accepted)),
        "what became of them": endings or "-",
        "accepted to final status": f"p50 {median}, p99 {worst}",
        "messages on their way": f"{deepest} at the most that was seen, {left} now",
        "dead letters": f"{outcome.depths.parked} more than before",
    }


def _of(kind: Requests, share: float) -> float:
    times = [float(time) for time, count in sorted(kind.milliseconds.items()) for _ in range(count)]
    return percentile(times, share)
