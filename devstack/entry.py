"""How a command line of this checkout begins and ends."""

import signal
import sys
from types import FrameType

import typer
from rich.console import Console

from devstack.errors import StackError


def enter(app: typer.Typer, name: str) -> None:
    """Run a command line. Ctrl-C, SIGTERM and SIGHUP end it after everything that it runs was stopped."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGINT too: a shell's background jobs ignore it
        signal.signal(number, _interrupt)
    try:
        app(prog_name=name)
    except StackError as failure:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]Error:[/] {literal(str(failure))}", highlight=False)
        sys.exit(1)


def literal(text: str) -> str:
    """Return text as rich prints it letter by letter."""
    return text.replace("[", r"\[")


def _interrupt(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
