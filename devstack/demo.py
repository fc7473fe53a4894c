"""Places the demo's orders, shows them moving, and tells what became of them."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.table import Table

from devstack.endpoints import Endpoints
from devstack.orders import OrderApi, Timeline
from devstack.poison import InCustody, publish_poison
from devstack.queues import Queue, queues
from devstack.scenarios import DEMO, Scenario
from operations.cli.client import ControlRoom

_POLL_SECONDS = 0.25
_POISON_SECONDS = 10
_DEAD = ".dlq"
_COLOURS = {"ready": "green", "rejected": "yellow", "cancelled": "yellow", "cancelling": "magenta"}


@dataclass
class Run:
    """One placed order on its way."""

    scenario: Scenario
    order_id: str
    placed: float = field(default_factory=time.monotonic)
    timeline: Timeline = field(default_factory=lambda: Timeline("pending", ()))
    seconds: float | None = None

    @property
    def done(self) -> bool:
        return self.scenario.is_over(self.timeline) or self.scenario.is_lost(self.timeline)

    @property
    def as_expected(self) -> bool:
        return self.scenario.is_over(self.timeline)

    def look(self, api: OrderApi) -> bool:
        """Read the timeline again; tell whether anything changed."""
        before, self.timeline = self.timeline, api.timeline(self.order_id)
        if self.done and self.seconds is None:
            self.seconds = time.monotonic() - self.placed
        return before != self.timeline


def show(endpoints: Endpoints, console: Console, *, seconds: float, check: Callable[[], None]) -> bool:
    """Place the demo's orders and a message that breaks the contract; tell whether all ended as they should."""
    with closing(OrderApi(endpoints.api, endpoints.api_keys["client"])) as api:
        runs = place_and_follow(api, DEMO, console, seconds=seconds, check=check)
    with closing(ControlRoom(endpoints.control_room, endpoints.api_keys["operator"])) as control_room:
        poison = publish_poison(endpoints.amqp, control_room, seconds=_POISON_SECONDS)
        in_custody = Counter(letter["queue"] for letter in control_room.get("/dead-letters")["dead_letters"])
    for run in runs:
        tell(run, console)
    tell_poison(poison, console)
    if endpoints.rabbitmq_management:
        console.print(queue_depths(queues(endpoints.amqp, endpoints.rabbitmq_management), in_custody))
    good = sum(run.as_expected for run in runs)
    ok = good == len(runs) and poison is not None
    console.print(f"\n[{'green' if ok else 'red'}]{good} of {len(runs)} orders ended as they should.[/]")
    return ok


def place_and_follow(
    api: OrderApi, scenarios: Sequence[Scenario], console: Console, *, seconds: float, check: Callable[[], None]
) -> list[Run]:
    """Place the orders and show them until all are done or the time is up. `check` raises if the stack broke."""
    runs = [Run(scenario, api.place(dict(scenario.body))) for scenario in scenarios]
    for run in runs:
        if run.scenario.cancel:
            api.cancel(run.order_id)
    deadline = time.monotonic() + seconds
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            check()
            changed = [run for run in runs if not run.done and run.look(api)]
            if console.is_terminal:
                live.update(moving(runs), refresh=True)
            else:
                for run in changed:
                    console.print(f"  {run.scenario.title}: {run.timeline.status} ({_latest(run)})", highlight=False)
            if all(run.done for run in runs) or time.monotonic() > deadline:
                return runs
            time.sleep(_POLL_SECONDS)


def moving(runs: Sequence[Run]) -> Table:
    """Return the table that is shown while orders are on their way."""
    table = Table("Order", "Status", "Latest event", "Seconds", title="Orders on their way")
    for run in runs:
        seconds = run.seconds if run.seconds is not None else time.monotonic() - run.placed
        mark = "[green]✓[/] " if run.as_expected else "  "
        table.add_row(mark + run.scenario.title, _coloured(run.timeline.status), _latest(run), f"{seconds:.1f}")
    return table


def tell(run: Run, console: Console) -> None:
    """Print what became of an order: its facts, each with the time since the one before it."""
    mark = "[green]✓[/]" if run.as_expected else "[red]✗[/]"
    seconds = f"{run.seconds:.1f} s" if run.seconds is not None else "not over"
    if not run.as_expected:
        seconds += f", expected {run.scenario.status} with {', '.join(sorted(run.scenario.facts))}"
    title = f"{mark} [bold]{run.scenario.title}[/] {_coloured(run.timeline.status)}, {seconds}"
    console.print(f"{title} [dim]{run.order_id}[/]", highlight=False, soft_wrap=True)
    steps: list[str] = []
    before: datetime | None = None
    for fact in run.timeline.facts:
        latency = f" [dim]+{(fact.occurred_at - before).total_seconds() * 1000:.0f} ms[/]" if before else ""
        steps.append(f"{fact.event}{latency}")
        before = fact.occurred_at
    console.print(Padding(" → ".join(steps), (0, 0, 0, 4)), highlight=False)


def tell_poison(found: InCustody | None, console: Console) -> None:
    """Print what became of the message that breaks the contract."""
    if found is None:
        console.print("[red]✗[/] [bold]A message that breaks the contract[/] did not reach the control room")
        return
    console.print(
        f"[green]✓[/] [bold]A message that breaks the contract[/] [yellow]in custody[/], {found.seconds:.1f} s",
        highlight=False,
    )
    console.print(Padding(f"{found.queue}: {found.reason}", (0, 0, 0, 4)), highlight=False)


def queue_depths(listed: Sequence[Queue], in_custody: Mapping[str, int]) -> Table:
    """Return the queues with what is left in them; a queue's dead letters, in custody or not, in its own row."""
    dead = Counter({queue.name.removesuffix(_DEAD): queue.depth for queue in listed if queue.name.endswith(_DEAD)})
    dead.update(in_custody)
    table = Table("Queue", "Depth", "Dead letters", "Consumers", title="Queues", title_justify="left")
    for queue in listed:
        if not queue.name.endswith(_DEAD):
            letters = _depth(dead[queue.name]) if queue.name in dead else ""
            table.add_row(queue.name, _depth(queue.depth), letters, str(queue.consumers))
    return table


def _depth(messages: int) -> str:
    return f"[bold red]{messages}[/]" if messages else "0"


def _latest(run: Run) -> str:
    return run.timeline.facts[-1].event if run.timeline.facts else "order.created"


def _coloured(status: str) -> str:
    return f"[{_COLOURS.get(status, 'cyan')}]{status}[/]"
