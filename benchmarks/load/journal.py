"""What the customers wrote down: one line of JSON for each order that was accepted, and for each promise broken."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Line:
    """About one order."""

    order_id: str
    endings: tuple[str, ...] = ()
    """The final statuses that it may have; none in a line that says what went wrong."""
    wrong: str = ""
    """What a customer saw that nobody should ever see."""


class Journal:
    """The writer's end. A line is in the file once `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("a", buffering=1)

    def write(self, line: Line) -> None:
        """Add a line."""
        self._file.write(json.dumps(asdict(line)) + "\n")

    def close(self) -> None:
        """Write no more."""
        self._file.close()


class Reader:
    """Reads what was written since it last looked; whole lines only."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open()
        self._rest = ""

    def new(self) -> Iterator[Line]:
        """The lines since the last call."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            told = json.loads(line)
            yield Line(told["order_id"], tuple(told["endings"]), told["wrong"])

    def close(self) -> None:
        """Read no more."""
        self._file.close()
