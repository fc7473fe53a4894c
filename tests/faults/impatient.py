"""Runs a service that gives messages back after a second instead of twenty minutes.

    python -m tests.faults.impatient faststream run payment.app:app

Only so can the crash points of `message.requeue` be reached by a test: 1,200 s is a constant of the kernel on purpose.
"""

import runpy
import sys
from functools import partial

from messaging import collector, pipeline, unit

PATIENCE = 1.0
"""Seconds."""


def hurry() -> None:
    """Shorten every wait that ends with a message going back to its queue."""
    for module, name, value in (
        (pipeline, "LONGEST_HOLD", PATIENCE),
        (collector, "LONGEST_HOLD", PATIENCE),
        (pipeline, "Work", partial(unit.Work, patience=PATIENCE)),
    ):
        setattr(module, name, value)


if __name__ == "__main__":
    hurry()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
