"""The report of a run, in Markdown: ratios first, since they mean something on other machines, too."""

import math
from collections.abc import Iterable, Sequence

from benchmarks.loops import DRIVER
from benchmarks.results import (
    ACCEPTED,
    ALL,
    FINISHED,
    HALF_LOAD,
    KEPT,
    LOGGED,
    MEMORY,
    PYTHON,
    SERVERS,
    Measure,
    Results,
    at,
    processor,
)

OURS = "ours"
GOALS = (
    ("finished orders a second are at least 4 times tutorial's", "tutorial", FINISHED, 4.0),
    ("finished orders a second are at least 0.75 times limit's", "limit", FINISHED, 0.75),
    ("Python's processor time is at most 1.5 times limit's", "limit", PYTHON, 1.5),
)
GOAL_HALF_LOAD = 150.0
"""Milliseconds: p99 end to end at half of our capacity."""


def markdown(results: Results) -> str:
    """Return the whole report."""
    names = [*results.contenders]
    others = [name for name in names if name != OURS]
    parts = [
        "# Benchmark",
        "POST /orders over HTTP until the order is finished in its database. All contenders take turns on the same "
        "RabbitMQ and PostgreSQL, which keep what they confirm; each turn begins with fresh databases and queues. "
        "Medians of all rounds; in parentheses the lowest and the highest. "
        + ", ".join(f"{name}: {value}" for name, value in results.machine.items())
        + f". Loops of {results.seconds:g} s.",
    ]
    if OURS in names and others:
        parts += ["## Ours in proportion to", _ratios(results, others), _goals(results)]
    parts += ["## At capacity", _capacity(results, names)]
    if fractions := list(dict.fromkeys(fraction for turn in results.turns for fraction in turn.opened)):
        latencies = "End to end, p50 / p99 in milliseconds, from the moment at which the order was to be sent."
        parts += ["## Below capacity", latencies, _below(results, names, fractions)]
    parts += ["## Processor time, milliseconds an order", _processes(results, names)]
    parts += ["## Memory and disk", _space(results, names)]
    parts += ["## What takes part, and what it does not guarantee", *(_about(results, name) for name in names)]
    if noted := [*results.failures, *_lost(results)]:
        parts += ["## What went wrong", "\n".join(f"- {each}" for each in noted)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ratios(results: Results, others: Sequence[str]) -> str:
    measures = (FINISHED, PYTHON, ALL, HALF_LOAD, KEPT)
    return table(
        ["", *others],
        ([measure.name, *(results.ratio(OURS, other, measure).text(2) for other in others)] for measure in measures),
    )


def _goals(results: Results) -> str:
    lines: list[str] = []
    for text, other, measure, bound in GOALS:
        if other in results.contenders:
            ratio = results.ratio(OURS, other, measure)
            met = ratio.middle >= bound if measure.more_is_better else ratio.middle <= bound
            lines.append(f"- {_mark(met=met)} {text}: {ratio.text(2)}")
    half = results.spread(OURS, HALF_LOAD)
    if not math.isnan(half.middle):
        met = half.middle <= GOAL_HALF_LOAD
        lines.append(f"- {_mark(met=met)} p99 end to end is at most 150 ms at half load: {half.text()} ms")
    return "\n".join(lines)


def _mark(*, met: bool) -> str:
    return "met:" if met else "**missed:**"


def _capacity(results: Results, names: Sequence[str]) -> str:
    def posts(percentile: str) -> Measure:
        return Measure(f"POST {percentile}", "ms", lambda turn: turn.closed.post[percentile])

    measures = (FINISHED, ACCEPTED, PYTHON, processor("RabbitMQ"), processor("PostgreSQL"))
    measures += (posts("p50"), posts("p99"), posts("p99.9"))
    return _by_contender(results, names, measures)


def _below(results: Results, names: Sequence[str], fractions: Sequence[str]) -> str:
    def cell(name: str, fraction: str) -> str:
        middle, high = (results.spread(name, at(fraction, "end_to_end", share)) for share in ("p50", "p99"))
        return f"{middle.text()} / {high.text()}"

    return table(["", *fractions], ([name, *(cell(name, fraction) for fraction in fractions)] for name in names))


def _processes(results: Results, names: Sequence[str]) -> str:
    found = dict.fromkeys(process for turn in results.turns for process in turn.closed.processor)
    order = sorted(found, key=lambda process: (process == DRIVER, process in SERVERS))
    rows = (
        [process, *(results.spread(name, processor(process)).text(2) for name in names)]
        for process in order
        if any(results.spread(name, processor(process)).high for name in names)
    )
    return table(["", *names], rows)


def _space(results: Results, names: Sequence[str]) -> str:
    return _by_contender(results, names, (MEMORY, KEPT, LOGGED))


def _by_contender(results: Results, names: Sequence[str], measures: Sequence[Measure]) -> str:
    head = ["", *(f"{measure.name}, {measure.unit}" for measure in measures)]
    rows = ([name, *(results.spread(name, each).text(each.digits) for each in measures)] for name in names)
    return table(head, rows)


def _about(results: Results, name: str) -> str:
    about = results.contenders[name]
    return "\n".join([f"**{name}**. {about.what}", *(["", *(f"- {each}" for each in about.not_guaranteed)])]).rstrip()


def _lost(results: Results) -> list[str]:
    noted: list[str] = []
    for number, turn in enumerate(results.turns, 1):
        for load, loop in {"capacity": turn.closed, **turn.opened}.items():
            if loop.unfinished:
                noted.append(f"turn {number}, {turn.contender} at {load}: {loop.unfinished} orders were never finished")
            noted += [
                f"turn {number}, {turn.contender} at {load}: {count} requests were answered {status}"
                for status, count in loop.refused.items()
            ]
    return noted
