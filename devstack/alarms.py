"""`python -m devstack.alarms`: apart from other commands, which import no service."""

import sys
from typing import Annotated

import typer

from devstack.paths import CHECKOUT
from operations.monitoring.generated import files, outdated
from operations.monitoring.runbooks import NoPlaceError


def alarms(
    *, check: Annotated[bool, typer.Option("--check", help="Only say what is not up to date; status 1 if any.")] = False
) -> None:
    """Write alarms, dashboard and the lists in the runbooks anew from the AsyncAPI document."""
    try:
        wanted = files(CHECKOUT)
    except (FileNotFoundError, NoPlaceError) as failure:
        print(f"a runbook page is missing or has no place for its alarms: {failure}", file=sys.stderr)
        raise typer.Exit(1) from None
    if check:
        different = outdated(CHECKOUT, wanted)
        for path in different:
            print(f"not up to date: {path}")
        if different:
            print("Write them anew: ./run alarms (a runbook that no alarm leads to is to be deleted)")
            raise typer.Exit(1)
        print("alarms, dashboard and runbooks are as the document says")
        return
    for path, text in wanted.items():
        file = CHECKOUT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(alarms)
    app(prog_name="./run alarms")
