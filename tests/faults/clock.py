"""Runs a program whose clock is wrong: `python -m tests.faults.clock -3600 faststream run payment.app:app`.

The clock of the day alone; what measures durations goes on as it was, as after a change of a real machine's clock.
"""

import runpy
import sys
from datetime import UTC, datetime, timedelta

import time_machine

if __name__ == "__main__":
    _, seconds, module, *rest = sys.argv
    time_machine.travel(datetime.now(UTC) + timedelta(seconds=int(seconds)), tick=True).start()
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
