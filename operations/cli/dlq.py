"""`dlq`: find dead letters, see what is wrong with them, send them again, or give them up."""

import json
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from operations.cli.client import ControlRoom, console, control_room, errors

POLL_SECONDS = 0.5
OVER = {"done", "stopped", "paused", "ended"}
SHORT = 8
"""Characters of an id that are shown; the beginning of ids that came together is the same, so it is the end."""

app = typer.Typer(no_args_is_help=True, help="Dead letters: found, explained, sent again, given up.")

Queue = Annotated[str | None, typer.Option(help="Of this work queue, for example payment.order.created.")]
ServiceName = Annotated[str | None, typer.Option("--service", help="Of this service.")]
Event = Annotated[str | None, typer.Option(help="Of this event, for example order.created.")]
Order = Annotated[str | None, typer.Option(help="Of this order, by its id.")]
Error = Annotated[str | None, typer.Option(help="With this class of error.")]
GroupId = Annotated[
    str | None, typer.Option("--group", help="Of this group: its fingerprint as `groups` shows it, or the beginning.")
]
Since = Annotated[datetime | None, typer.Option(help="Failed at or after this moment (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Failed before this moment (UTC).")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON.")]
States = Annotated[
    list[str] | None,
    typer.Option("--state", help="open, replaying, done, discarded, edited; repeatable. [default: open]"),
]
Letter = Annotated[str, typer.Argument(help="Its id, or the end of it as `list` shows it.")]
ReplayId = Annotated[str | None, typer.Argument(help="Its id, or the end of it; the newest, if none is given.")]


@app.callback()
def main(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(envvar="OPERATIONS_URL", help="Where the control room answers.")
    ] = "http://127.0.0.1:8100",
    key: Annotated[
        str, typer.Option(envvar="OPERATIONS_KEY", help="An API key with the scope operations.", show_default=False)
    ] = "",
) -> None:
    """Look after dead letters."""
    context.obj = (url, key)


@app.command("list")
def list_letters(  # noqa: PLR0913, PLR0917 - each is an option
    context: typer.Context,
    queue: Queue = None,
    service: ServiceName = None,
    event: Event = None,
    order: Order = None,
    error: Error = None,
    group: GroupId = None,
    since: Since = None,
    until: Until = None,
    state: States = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """Show dead letters, the newest failures first."""
    search = _search(queue, service, event, order, error, group, since, until)
    with control_room(context) as room:
        _complete(room, search, state)
        page = room.get("/dead-letters", **search, state=state, limit=limit)
    if as_json:
        console.print_json(data=page)
        return
    found = page["dead_letters"]
    if not found:
        console.print("[green]✓[/] no dead letter" + (" fits" if search else ""))
        return
    table = _table("id", "queue", "error: reason", "failed", *(["state"] if state else []))
    for each in found:
        what = f"{escape(each['error'])}: [dim]{escape(each['reason'])}[/]"
        row = (_short(each["id"]), each["queue"], what, _ago(each["last_failed_at"]))
        _add(table, *row, *([each["state"]] if state else []))
    console.print(table)
    if page["next"]:
        console.print(f"[dim]… and more; these are the newest {len(found)}. `dlq groups` counts them all.[/]")


@app.command()
def groups(  # noqa: PLR0913, PLR0917 - each is an option
    context: typer.Context,
    queue: Queue = None,
    service: ServiceName = None,
    event: Event = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    state: States = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Count dead letters by what is wrong: those of one queue that failed alike are a group."""
    search = _search(queue, service, event, None, error, None, since, until)
    with control_room(context) as room:
        found = room.get("/dead-letters/groups", **search, state=state)
    if as_json:
        console.print_json(data=found)
        return
    if not found:
        console.print("[green]✓[/] no dead letters")
        return
    table = _table("group", "count", "queue", "error: reason of one", "last failed")
    for each in found:
        what = f"{escape(each['error'])}: [dim]{escape(each['reason'])}[/]"
        _add(table, each["fingerprint"], str(each["count"]), each["queue"], what, _ago(each["last_failed_at"]))
    console.print(table)


@app.command()
def show(context: typer.Context, letter: Letter, *, as_json: AsJson = False) -> None:
    """Show one: what is wrong with it, its payload (personal data masked), its failures, replays, and its order."""
    with control_room(context) as room:
        found = room.get(f"/dead-letters/{_letter(room, letter)}")
    if as_json:
        console.print_json(data=found)
        return
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name in ("id", "state", "queue", "event", "message_id", "order_id", "trace_id", "attempts", "redrive", "size"):
        facts.add_row(name, str(found[name] if found[name] is not None else "-"))
    facts.add_row("failed with", f"{found['error']}: {found['reason']}", style="red")
    facts.add_row("the message", found["problem"] or "fits its contract: it failed for another reason")
    console.print(facts, markup=False)
    payload = "(not JSON)" if found["payload"] is None else json.dumps(found["payload"], indent=2, ensure_ascii=False)
    console.print(Panel(escape(payload), title="payload, masked", title_align="left"))
    for each in found["failures"]:
        console.print(f"failed   {_moment(each['failed_at'])}  {escape(each['error'])}: {escape(each['reason'])}")
    for each in found["replays"]:
        told = each["outcome"] or ("waiting for a receipt" if each["sent_at"] else "waiting for its turn")
        console.print(f"replayed {_moment(each['sent_at'])}  {told} {escape(each['detail'] or '')}")
    _show_order(found)


@app.command()
def replay(  # noqa: PLR0913, PLR0917 - each is an option
    context: typer.Context,
    letters: Annotated[list[str] | None, typer.Argument(help="Ids, or the ends of them as `list` shows them.")] = None,
    queue: Queue = None,
    service: ServiceName = None,
    event: Event = None,
    order: Order = None,
    error: Error = None,
    group: GroupId = None,
    since: Since = None,
    until: Until = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Messages a second at most.")] = 50.0,
    tolerate: Annotated[float, typer.Option(min=0, max=1, help="Share of failures from which on it stops.")] = 0.1,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All open dead letters.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    wait: Annotated[bool, typer.Option(help="Follow it until it is through, or holds.")] = True,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again, under their own ids: the effect of each happens at most once, however often.

    It goes on in steps of 1, 10, 100 and so on; each is answered before the next begins, and it stops by itself when
    too many fail again. Status 1 if it does.
    """
    selection = _search(queue, service, event, order, error, group, since, until)
    with control_room(context) as room:
        _complete(room, selection, None)
        if letters:
            selection["ids"] = [_letter(room, each, everywhere=True) for each in letters]
        if everything:
            selection["all"] = True
        if not selection:
            raise typer.BadParameter("say which: ids, --group, --queue or another filter, or --all")
        wish = {"selection": selection, "rate": rate, "tolerate": tolerate, "dry_run": dry_run}
        plan = room.post("/replays", wish)
        if dry_run:
            _show_plan(plan, as_json=as_json)
            return
        run = room.get(f"/replays/{plan['run_id']}")
        if wait:
            run = _follow(room, run, quiet=as_json)
    _finish(run, as_json=as_json)


@app.command()
def replays(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show the replays, the newest first."""
    with control_room(context) as room:
        found = room.get("/replays")
    if as_json:
        console.print_json(data=found)
        return
    if not found:
        console.print("No replay was started yet: dlq replay")
        return
    table = _table("id", "state", "started", "total", "sent", "applied", "no effect", "failed", "silent")
    for each in found:
        counts = (str(each[name]) for name in ("total", "sent", "applied", "no_effect", "failed", "no_receipt"))
        _add(table, _short(each["id"]), each["state"], _ago(each["started_at"]), *counts)
    console.print(table)
    for each in found:
        if each["state"] == "stopped":
            console.print(f"{_short(each['id'])} holds itself: {each['why']}", style="red")


@app.command()
def pause(context: typer.Context, run: ReplayId = None) -> None:
    """Hold a replay: it sends no more until it is resumed."""
    with control_room(context) as room:
        _finish(room.post(f"/replays/{_run(room, run)}/pause"), as_json=False)


@app.command()
def resume(context: typer.Context, run: ReplayId = None) -> None:
    """Let a replay go on, also one that stopped by itself: what has failed so far does not count any more."""
    with control_room(context) as room:
        _finish(_follow(room, room.post(f"/replays/{_run(room, run)}/resume"), quiet=False), as_json=False)


@app.command()
def end(context: typer.Context, run: ReplayId = None) -> None:
    """End a replay: what it has not sent is open again."""
    with control_room(context) as room:
        _finish(room.post(f"/replays/{_run(room, run)}/end"), as_json=False)


@app.command()
def discard(
    context: typer.Context,
    letter: Letter,
    reason: Annotated[str, typer.Option(help="Why, for the audit.")],
) -> None:
    """Give a dead letter up; it is kept for some time, and never sent again."""
    with control_room(context) as room:
        letter_id = _letter(room, letter)
        room.post(f"/dead-letters/{letter_id}/discard", {"reason": reason})
    console.print(f"{letter_id} is discarded.")


@app.command()
def edit(
    context: typer.Context,
    letter: Letter,
    changes: Annotated[str, typer.Option(help='What to change, as a JSON merge patch: \'{"total": {"amount": 5}}\'.')],
    reason: Annotated[str, typer.Option(help="Why, for the audit.")],
) -> None:
    """Replay another version of a dead letter, as a new message. Off unless the control room allows it."""
    try:
        patch = json.loads(changes)
    except ValueError as error:
        raise typer.BadParameter(f"this is no JSON: {error}", param_hint="--changes") from None
    with control_room(context) as room:
        plan = room.post(f"/dead-letters/{_letter(room, letter)}/edit", {"changes": patch, "reason": reason})
        _finish(_follow(room, room.get(f"/replays/{plan['run_id']}"), quiet=False), as_json=False)


@app.command()
def actions(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show what operators did, the newest first."""
    with control_room(context) as room:
        found = room.get("/actions")
    if as_json:
        console.print_json(data=found)
        return
    for each in found:
        detail = escape(json.dumps(each["detail"], ensure_ascii=False))
        what = f"[bold]{each['action']}[/] {_short(each['subject'])}"
        console.print(f"{_moment(each['at'])}  {what}  {each['actor']}  [dim]{detail}[/]")
    if not found:
        console.print("Nobody did anything yet.")


def _table(*names: str) -> Table:
    """A table in which only reasons are cut off; `show` tells them whole."""
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=True, min_width=None if name.startswith("error") else len(name))
    return table


def _add(table: Table, *cells: str) -> None:
    taken = 0
    for column, cell in zip(table.columns, cells, strict=True):
        if column.min_width is not None:
            column.min_width = max(column.min_width, len(cell))
            taken += column.min_width + 2
        column.justify = "right" if cell.isdigit() else "left"
    for column in table.columns:
        if column.min_width is None:
            column.max_width = max(20, console.width - taken)
    table.add_row(*cells)


def _search(  # noqa: PLR0913, PLR0917 - each is an option
    queue: str | None,
    service: str | None,
    event: str | None,
    order: str | None,
    error: str | None,
    group: str | None,
    since: datetime | None,
    until: datetime | None,
) -> dict[str, Any]:
    search = {
        "queue": queue,
        "service": service,
        "event": event,
        "order_id": order,
        "error": error,
        "fingerprint": group,
        "failed_from": None if since is None else since.replace(tzinfo=since.tzinfo or UTC).isoformat(),
        "failed_before": None if until is None else until.replace(tzinfo=until.tzinfo or UTC).isoformat(),
    }
    return {name: value for name, value in search.items() if value is not None}


def _complete(room: ControlRoom, search: dict[str, Any], states: list[str] | None) -> None:
    """Find the whole fingerprint of a group of which the beginning was given."""
    if "fingerprint" in search:
        given, groups = search["fingerprint"], room.get("/dead-letters/groups", state=states, limit=500)
        search["fingerprint"] = _whole(given, (each["fingerprint"] for each in groups), "group", str.startswith)


def _letter(room: ControlRoom, given: str, *, everywhere: bool = False) -> str:
    states = ["open", "replaying", "done"] if everywhere else ["open", "replaying", "done", "discarded", "edited"]
    return _whole(given, (each["id"] for each in _every(room, states)), "dead letter")


def _every(room: ControlRoom, states: list[str]) -> Iterable[dict[str, Any]]:
    cursor = None
    while True:
        page = room.get("/dead-letters", state=states, limit=500, cursor=cursor)
        yield from page["dead_letters"]
        cursor = page["next"]
        if cursor is None:
            return


def _run(room: ControlRoom, given: str | None) -> str:
    runs = [each["id"] for each in room.get("/replays", limit=200)]
    if given is None and runs:
        return runs[0]
    return _whole(given or "", runs, "replay")


def _whole(given: str, known: Iterable[str], what: str, fits: Callable[[str, str], bool] = str.endswith) -> str:
    if len(given) == len("00000000-0000-0000-0000-000000000000"):
        return given
    found = sorted({each for each in known if given and fits(each, given)})
    if len(found) == 1:
        return found[0]
    many = f"{given!r} may be {len(found)} {what}s: say more of it."
    errors.print(many if found else f"There is no {what} {given!r}.", style="red")
    raise typer.Exit(1)


def _show_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.print_json(data=plan)
        return
    console.print(
        f"{plan['total']} dead letters would be sent again, in steps of {', '.join(map(str, plan['steps']))}:"
    )
    for queue, count in plan["by_queue"].items():
        console.print(f"  {count:>6}  {queue}")
    console.print(f"It would take {plan['seconds']:.0f} s at least. Nothing was changed.")


def _follow(room: ControlRoom, run: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
    )
    bar = progress.add_task("sent and answered", total=run["total"])
    with progress if not quiet else nullcontext():
        while run["state"] not in OVER:
            time.sleep(POLL_SECONDS)
            run = room.get(f"/replays/{run['id']}")
            answered = run["applied"] + run["no_effect"] + run["failed"]
            progress.update(bar, completed=answered, description=f"step {run['step']} of {len(run['steps'])}")
    return run


def _finish(run: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.print_json(data=run)
    else:
        counts = f"{run['applied']} applied, {run['no_effect']} without effect, {run['failed']} failed again"
        mark = {"done": "[green]✓[/]", "stopped": "[red]✗[/]"}.get(run["state"], "[yellow]…[/]")
        why = f" ({run['why']})" if run["why"] else ""
        sent = f"{run['sent']} of {run['total']} sent"
        console.print(f"{mark} replay {_short(run['id'])} is {run['state']}{why}: {sent}; {counts}")
        if run["state"] == "stopped":
            console.print("  See `dlq groups`; then `dlq resume` lets it go on, `dlq end` ends it.")
    if run["state"] == "stopped":
        raise typer.Exit(1)


def _show_order(found: dict[str, Any]) -> None:
    order = found["order"]
    if order is None:
        console.print(f"order    {escape(found['order_problem'] or '-')}", style="dim")
        return
    console.print(f"order    {order['order_id']} is [bold]{order['status']}[/]")
    for fact in order.get("timeline") or ():
        console.print(f"         {_moment(fact['occurred_at'])}  {fact['event']}")


def _short(whole: str) -> str:
    return whole[-SHORT:]


def _moment(text: str | None) -> str:
    if text is None:
        return "-" * 19
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _ago(text: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0, seconds):.0f} s ago"
