"""`python -m benchmarks.plots results.json folder` draws the results of a run; its packages are the group `bench`."""

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.loops import DRIVER
from benchmarks.results import FINISHED, Results, at, processor

VISIBLE = 0.05
"""Milliseconds an order; what is less cannot be seen."""


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw what there is to draw; returns the files."""
    mpl.use("svg")
    mpl.rcParams.update({"figure.figsize": (7, 3.6), "axes.grid": True, "axes.axisbelow": True, "font.size": 9})
    names = [*results.contenders]
    made = [_capacity(results, names, folder / "capacity.svg"), _processor(results, names, folder / "processor.svg")]
    if any(turn.opened for turn in results.turns):
        made.append(_latency(results, names, folder / "latency.svg"))
    return made


def _capacity(results: Results, names: Sequence[str], path: Path) -> Path:
    figure, axes = plt.subplots()
    for number, name in enumerate(names):
        spread = results.spread(name, FINISHED)
        error = [[spread.middle - spread.low], [spread.high - spread.middle]]
        axes.bar(number, spread.middle, yerr=error, capsize=4)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("finished orders a second")
    return _save(figure, path)


def _processor(results: Results, names: Sequence[str], path: Path) -> Path:
    figure, axes = plt.subplots()
    found = dict.fromkeys(process for turn in results.turns for process in turn.closed.processor if process != DRIVER)
    below = [0.0] * len(names)
    for process in found:
        times = [results.spread(name, processor(process)).middle for name in names]
        if max(times) >= VISIBLE:
            axes.bar(names, times, bottom=below, label=process)
            below = [sum(pair) for pair in zip(below, times, strict=True)]
    axes.set_ylabel("processor time, ms an order")
    axes.legend(fontsize=7, ncols=2)
    return _save(figure, path)


def _latency(results: Results, names: Sequence[str], path: Path) -> Path:
    figure, axes = plt.subplots()
    fractions = sorted({each for turn in results.turns for each in turn.opened}, key=lambda each: int(each[:-1]))
    for number, name in enumerate(names):
        for percentile, style in (("p50", ":"), ("p99", "-")):
            values = [results.spread(name, at(each, "end_to_end", percentile)).middle for each in fractions]
            axes.plot(fractions, values, style, marker=".", color=f"C{number}", label=f"{name}, {percentile}")
    axes.set_yscale("log")
    axes.set_ylabel("end to end, ms")
    axes.set_xlabel("load, of its own capacity")
    axes.legend(fontsize=7, ncols=2)
    return _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
    return path


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    for drawn in draw(Results.load(source), target):
        print(drawn)  # noqa: T201 - a command line
