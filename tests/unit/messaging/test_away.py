"""While the database is away nothing is taken from the broker; a service that does not run takes nothing either."""

import asyncio
from typing import cast

import pytest
from faststream.rabbit import TestRabbitBroker

from contracts import OrderCreated
from messaging import away as away_module
from messaging.away import Away
from messaging.intake import Intake
from messaging.pipeline import NotRunning
from messaging.testing import envelope
from payment.app import build
from payment.settings import Settings


class Consumers:
    """Consumers that remember what was done to them; the first resumption may fail."""

    def __init__(self, *, broker_is_away: bool = False) -> None:
        self.paused = False
        self.done: asyncio.Queue[str] = asyncio.Queue()
        self._fails = broker_is_away

    async def pause(self) -> None:
        """Be cancelled."""
        self.paused = True
        await self.done.put("paused")

    async def resume(self) -> None:
        """Consume again."""
        if self._fails:
            self._fails = False
            raise ConnectionError("the broker is away, too")
        self.paused = False
        await self.done.put("resumed")


async def test_the_intake_pauses_while_the_database_is_gone() -> None:
    """It pauses at the first failed attempt and goes on at the first one that succeeds, time after time."""
    away, consumers = Away(), Consumers()
    keeping = asyncio.create_task(away.keep(cast("Intake", consumers)))
    for _ in range(2):
        away.report(away=True)
        assert await consumers.done.get() == "paused"
        away.report(away=False)
        assert await consumers.done.get() == "resumed"
    keeping.cancel()


async def test_a_resumption_that_failed_is_made_up_for() -> None:
    """If the broker was away when the database came back, the consumers are started as soon as it is back, too."""
    away, consumers = Away(), Consumers(broker_is_away=True)
    away.report(away=True)
    keeping = asyncio.create_task(away.keep(cast("Intake", consumers)))
    assert await consumers.done.get() == "paused"
    away.report(away=False)
    with pytest.raises(ConnectionError):
        await keeping
    keeping = asyncio.create_task(away.keep(cast("Intake", consumers)))  # as the supervisor does
    assert await consumers.done.get() == "resumed"
    keeping.cancel()


async def test_somebody_finds_out_when_nobody_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last attempt was given up, messages are taken again after a while, and the next attempt decides."""
    monkeypatch.setattr(away_module, "TRY_AGAIN", 0.01)
    away, consumers = Away(), Consumers()
    keeping = asyncio.create_task(away.keep(cast("Intake", consumers)))
    away.report(away=True)
    assert [await consumers.done.get() for _ in range(3)] == ["paused", "resumed", "paused"]
    away.report(away=False)
    assert await consumers.done.get() == "resumed"
    keeping.cancel()


async def test_a_service_that_does_not_run_takes_nothing() -> None:
    """A message that meets a stopped service is an error, never an acknowledgement."""
    service = build(Settings(gateway_latency=0))
    order = OrderCreated.example()
    async with TestRabbitBroker(service.broker) as br:
        with pytest.raises(Exception, match="not running") as refused:
            await br.publish(order, **envelope(order))
    assert isinstance(refused.value, NotRunning)
