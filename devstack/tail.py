"""Follow the logs of a stack's processes, each line with the name of its process ahead of it."""

from pathlib import Path
from typing import IO

from rich.console import Console
from rich.text import Text

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


class Tail:
    """Prints what is new in a folder of logs each time it is asked; whole lines only."""

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder = folder
        self._console = console
        self._open: dict[str, IO[str]] = {}
        self._rest: dict[str, str] = {}

    def print_new(self) -> None:
        """Print the lines that were written since the last call."""
        for path in sorted(self._folder.glob("*.log")):
            if path.stem not in self._open:
                self._open[path.stem] = path.open(errors="replace")
            *lines, rest = (self._rest.get(path.stem, "") + self._open[path.stem].read()).split("\n")
            self._rest[path.stem] = rest
            for line in lines:
                self._print(path.stem, line)

    def _print(self, name: str, line: str) -> None:
        colour = _COLOURS[list(self._open).index(name) % len(_COLOURS)]
        prefix = Text(f"{name:<18}| ", style=colour)
        self._console.print(prefix + Text.from_ansi(line), soft_wrap=True)
