"""The verdicts for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from messaging.compatibility.samples import Reading, totals
from messaging.compatibility.verdict import Finding, Verdict, breaking

_MARKS = {"breaking": "[red]✗[/]", "changed": "[green]✓[/]", "new": "[green]+[/]", "retired": "[green]-[/]"}


def show(verdicts: Sequence[Verdict], base: str, console: Console) -> None:
    """Each event and each object of the broker that changed, with what it breaks and for whom."""
    if not verdicts:
        console.print(f"[green]✓[/] nothing changed since {escape(base)}", highlight=False, soft_wrap=True)
        return
    for verdict in verdicts:
        console.print(f"{_MARKS[verdict.status]} {_heading(verdict)}", highlight=False, soft_wrap=True)
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 2))
        for _ in range(2):
            table.add_column(overflow="fold")
        for finding in verdict.findings:
            table.add_row(escape(finding.place or "·"), _line(finding))
        console.print(table, highlight=False)
    broken = breaking(verdicts)
    if broken:
        whom = sorted({service for verdict in broken for each in verdict.findings for service in each.breaks})
        console.print(
            f"[red]✗[/] {len(broken)} of {len(verdicts)} changes since {escape(base)} break "
            f"{', '.join(whom) or 'what was published'}. The way out: docs/howto/evolve-an-event.md",
            highlight=False,
            soft_wrap=True,
        )
    else:
        count = f"{len(verdicts)} changes" if len(verdicts) > 1 else "1 change"
        console.print(f"[green]✓[/] {count} since {escape(base)}, all compatible", highlight=False, soft_wrap=True)


def show_samples(readings: Sequence[Reading], left_alone: Sequence[str], console: Console) -> None:
    """How many real messages of each type today's models read, and why others are refused."""
    for name, (count, refused) in totals(readings).items():
        mark = "[red]✗[/]" if refused else "[green]✓[/]"
        console.print(f"{mark} {escape(name)}: {count - refused} of {count} read", highlight=False, soft_wrap=True)
    for reading in readings:
        if reading.problem:
            colour, note = ("red", "") if reading.breaking else ("dim", " (parked for that already)")
            text = f"{escape(reading.sample.origin)}: {escape(reading.problem)}{note}"
            console.print(f"  [{colour}]{text}[/]", highlight=False, soft_wrap=True)
    if not readings:
        console.print("no message to read", highlight=False, soft_wrap=True)
    if left_alone:
        text = f"work queues left alone, as they are consumed: {len(left_alone)}; "
        text += "`contracts record` copies what flows through them"
        console.print(f"[dim]{text}[/]", highlight=False, soft_wrap=True)


def _heading(verdict: Verdict) -> str:
    text = f"[bold]{escape(verdict.name)}[/]"
    if verdict.kind != "event":
        return f"{verdict.kind} {text}"
    return f"{text} from {', '.join(verdict.producers) or 'nobody'} to {', '.join(verdict.consumers) or 'nobody'}"


def _line(finding: Finding) -> str:
    if not finding.breaking:
        return escape(finding.change)
    whom = ", ".join(finding.breaks) or "nobody here"
    doubt = "" if finding.certain else "cannot tell; at worst "
    return f"{escape(finding.change)}\n[red]breaks {whom}:[/] {doubt}{escape(finding.because)}"


def as_json(verdicts: Sequence[Verdict], readings: Sequence[Reading]) -> str:
    """The report for programs."""
    return json.dumps(
        {
            "compatible": not breaking(verdicts) and not any(reading.breaking for reading in readings),
            "changes": [asdict(verdict) for verdict in verdicts],
            "samples": {name: {"messages": count, "refused": no} for name, (count, no) in totals(readings).items()},
            "refused": [
                {"origin": each.sample.origin, "type": each.sample.name, "problem": each.problem}
                for each in readings
                if each.breaking
            ],
        },
        indent=2,
    )
