"""Runs a program with bugs planted in it: `python -m tests.faults.planted.launch kernel.drops_dead_letters faststream`.

Production code has no switch for a bug: what is planted replaces functions from outside, before anything serves.
"""

import importlib
import runpy
import sys


def main() -> None:
    """Plant the bugs, named as `module.function` of `bugs` with commas between, and become the program."""
    _, bugs, program, *arguments = sys.argv
    for bug in filter(None, bugs.split(",")):
        module, _, name = bug.partition(".")
        getattr(importlib.import_module(f"tests.faults.planted.bugs.{module}"), name)()
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
