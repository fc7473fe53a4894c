"""`python -m benchmarks.peers.limit.service payment` runs one of the services that only consume."""

import asyncio
import importlib
import sys

import uvloop

from benchmarks.peers.limit.kernel import Kernel


async def main(name: str) -> None:
    service = importlib.import_module(f"benchmarks.peers.limit.{name}")
    await Kernel(service.QUEUES, await service.begin()).start()
    print("ready", flush=True)  # noqa: T201 - whoever started it waits for this
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
