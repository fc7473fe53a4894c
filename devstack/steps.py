"""Says what is being done and how long it took: a moving line for each step on a terminal, plain lines elsewhere."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Steps:
    """Steps may overlap. Each is said when it starts and, with its duration, when it is done."""

    def __init__(self, console: Console) -> None:
        self.console = console
        columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
        self._live = Progress(*columns, console=console, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @contextmanager
    def step(self, label: str) -> Generator[None]:
        """Show a step for as long as the block takes. If the block raises, the step is not said to be done."""
        begun = self.begin(label)
        yield
        begun.done()

    def begin(self, label: str) -> "Step":
        """Show a step until its `done` is called; for steps that overlap."""
        return Step(self, label, self._live.add_task(label, total=1) if self._live else None)

    def finish(self, step: "Step") -> None:
        """Replace a step's moving line by its last word."""
        if self._live and step.task is not None:
            self._live.remove_task(step.task)
        self.console.print(
            f"[green]✓[/] {step.label} [dim]{time.monotonic() - step.begun:.1f} s[/]", highlight=False, soft_wrap=True
        )


class Step:
    """A step that has begun."""

    def __init__(self, steps: Steps, label: str, task: TaskID | None) -> None:
        self.label, self.task = label, task
        self.begun = time.monotonic()
        self._steps = steps

    def done(self, label: str | None = None) -> None:
        """Say that it is done, in other words if `label` is given."""
        self.label = label or self.label
        self._steps.finish(self)
