"""`python -m benchmarks.capacity`, which `./run capacity` hands over to."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.capacity.check import check, markdown
from benchmarks.capacity.costs import FILE, Costs
from benchmarks.capacity.fit import fit, measure
from benchmarks.capacity.model import BROKER, SERVICES, Forecast, Scenario, messages, simulate
from benchmarks.capacity.plot import draw
from benchmarks.figures import percentile
from benchmarks.run import FOLDER as MEASURED
from benchmarks.run import alone
from devstack.entry import enter
from devstack.errors import StackError
from devstack.paths import STACK

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
FOLDER = STACK / "capacity"
MOST = 5_000_000
"""Orders that a scenario may have: a simulated one takes some 50 µs, and 200 bytes."""


@app.command()
def capacity(  # noqa: PLR0913 - options
    *,
    rate: Annotated[float, typer.Option(min=0.1, help="Orders a second.")] = 100,
    seconds: Annotated[float, typer.Option(min=1, help="How long customers order.")] = 180,
    spike: Annotated[float, typer.Option(min=0, help="Orders a second while it is worst; 0: no spike.")] = 0,
    outage: Annotated[str, typer.Option(help=f"Who is away while it is worst: {BROKER}, or a service.")] = "",
    begin: Annotated[float, typer.Option("--at", min=0, help="When it gets worst, in seconds.")] = 30,
    lasting: Annotated[float, typer.Option("--for", min=0, help="How many seconds it is so.")] = 60,
    replicas: Annotated[str, typer.Option(help="Processes: payment=2,order_api=2.")] = "",
    processors: Annotated[int, typer.Option(min=1, help="That services and servers share.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the moments at which customers come.")] = 0,
    checks: Annotated[bool, typer.Option("--check", help="Simulate what ./run bench measured, and compare.")] = False,
    measures: Annotated[bool, typer.Option("--measure", help=f"Measure costs anew, into {FILE}: two minutes.")] = False,
) -> None:
    """Forecast queues, latency and the first bottleneck for a rate, a spike, an outage or more processes.

    A simulation of measured costs, in seconds; what it leaves out, and by how much it errs: docs/capacity.md.
    """
    console = Console()
    if measures:
        _measure(console)
    if checks:
        compared = markdown(check(Costs.load(), MEASURED))
        console.print(compared, markup=False, highlight=False, soft_wrap=True)
    if measures or checks:
        return
    if outage not in {"", BROKER, *SERVICES}:
        raise StackError(f"{outage} cannot be away; {', '.join((BROKER, *SERVICES))} can")
    if seconds * max(rate, spike) > MOST:
        raise StackError(f"these are more than {MOST:,} orders: take a lower rate, or fewer --seconds")
    worst = (begin, begin + lasting) if spike or outage else (0.0, 0.0)
    if worst[1] > seconds:
        raise StackError(f"it would be worst until {worst[1]:g} s, but customers order for {seconds:g} s: --seconds")
    scenario = Scenario(rate, seconds, spike, outage, *worst, _processes(replicas), processors, seed)
    forecast = simulate(Costs.load(), scenario)
    _show(forecast, scenario, console)
    FOLDER.mkdir(parents=True, exist_ok=True)
    draw(forecast, scenario, FOLDER / "forecast.svg")
    console.print(f"Drawn in {FOLDER / 'forecast.svg'}.", soft_wrap=True)


def _processes(told: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in filter(None, told.split(",")):
        name, _, number = part.partition("=")
        if name not in SERVICES or not number.isdecimal() or int(number) < 1:
            raise StackError(f"{part} is no service and number of processes, as in payment=2")
        found[name] = int(number)
    return found


def _measure(console: Console) -> None:
    with alone(), console.status("starting") as status:
        measured = measure(FOLDER, status.update)
        status.update("simulating what was measured")
        fit(measured).save()
    console.print(f"Costs are in {FILE}: commit it.", soft_wrap=True)


def _show(forecast: Forecast, scenario: Scenario, console: Console) -> None:
    shown = Table("", "busy, %", "waiting at most", "a group, messages")
    for name in SERVICES:
        size = len(forecast.latency) * messages(name) / max(1, forecast.groups[name])
        shown.add_row(name, f"{forecast.busy[name]:.0%}", f"{max(forecast.depth[name]):,}", f"{size:.1f}")
    shown.add_row("processors", f"{forecast.busy['processors']:.0%}", "", "")
    console.print(shown)
    p50, p99 = (1000 * percentile(forecast.latency, share) for share in (0.5, 0.99))
    console.print(f"{len(forecast.latency):,} orders, end to end p50 {p50:,.0f} ms, p99 {p99:,.0f} ms.")
    if forecast.drained is not None:
        console.print(f"The backlog is gone {forecast.drained:.1f} s after {scenario.end:g} s.")
    late = max(placed + took for placed, took in zip(forecast.placed, forecast.latency, strict=True))
    if forecast.busy[forecast.bottleneck] >= 1 or late > scenario.seconds + 5:
        console.print(f"Too much: when the last customer had ordered, it took {late - scenario.seconds:.0f} s more.")
    console.print(f"First to give way: {forecast.bottleneck}.", soft_wrap=True)


if __name__ == "__main__":
    enter(app, "./run capacity")
