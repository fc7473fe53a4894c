"""Which tests run with `--stack`, and which without; what was left out is said at the end of the run."""

from collections.abc import Callable

import pytest

from tests.stack.docker import lacking

STACKS = ("compose", "cluster")
PATIENCE = 600
"""Seconds; a test may be the one that has the images built."""
_LEFT_OUT = pytest.StashKey[dict[str, str]]()
_MEASURED = pytest.StashKey[list[str]]()


def stack(config: pytest.Config) -> str | None:
    """What the tests run against; None for private servers and processes."""
    return config.getoption("--stack")


def assert_possible(config: pytest.Config) -> None:
    """Raise UsageError if containers are asked for, and this machine cannot run them."""
    config.stash[_LEFT_OUT], config.stash[_MEASURED] = {}, []
    name = stack(config)
    if name and (lack := lacking()):
        raise pytest.UsageError(f"--stack {name} needs Docker Engine with Compose v2: {lack}")


def left_out(config: pytest.Config) -> dict[str, str]:
    """What was left out so far, and what to do about it or why."""
    return config.stash[_LEFT_OUT]


def measured(config: pytest.Config) -> list[str]:
    """What tests have to tell at the end of the run."""
    return config.stash[_MEASURED]


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs another stack than the run has."""
    name, told = stack(config), left_out(config)

    def of_another(item: pytest.Item) -> bool:
        wanted = item.get_closest_marker("stack")
        if wanted is None or wanted.args[0] == name:
            return False
        told[wanted.args[0]] = f"./run test --stack {wanted.args[0]}"
        return True

    def private(item: pytest.Item) -> bool:
        marked = item.get_closest_marker("private")
        if marked is None or not name:
            return False
        told[item.nodeid.partition("[")[0]] = marked.args[0]
        return True

    _deselect(config, items, of_another)
    _deselect(config, items, private)
    for item in items:
        if name and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(PATIENCE))


def report(terminal: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line for each that was left out, and for each measurement."""
    for line in measured(config):
        terminal.write_line(line)
    for what, way in sorted(left_out(config).items()):
        terminal.write_line(f"{what}: not run ({way})")


def _deselect(config: pytest.Config, items: list[pytest.Item], unwanted: Callable[[pytest.Item], bool]) -> None:
    out = [item for item in items if unwanted(item)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
