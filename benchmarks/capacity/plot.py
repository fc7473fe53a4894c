"""A forecast, drawn: what waits for each service, and how long orders take."""

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.capacity.model import Forecast, Scenario


def draw(forecast: Forecast, scenario: Scenario, path: Path) -> None:
    """Draw both over time; spike or outage is shaded."""
    mpl.use("svg")
    mpl.rcParams.update({"axes.grid": True, "axes.axisbelow": True, "font.size": 9})
    figure, (depth, latency) = plt.subplots(2, sharex=True, figsize=(7, 5))
    for name, waiting in forecast.depth.items():
        depth.plot(forecast.at, waiting, label=name)
    depth.set_ylabel("messages that wait")
    depth.legend(fontsize=7, ncols=4)
    latency.plot(forecast.placed, forecast.latency, ".", markersize=1, rasterized=True)
    latency.set_ylabel("s until finished")
    latency.set_xlabel("s (of an order: when it was placed)")
    if scenario.end:
        for axes in (depth, latency):
            axes.axvspan(scenario.begin, scenario.end, alpha=0.15, color="C3")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
