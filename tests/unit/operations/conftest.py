"""The control room on a database of its own, an operator who speaks to it, and dead letters to look after."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import pytest_asyncio
from faststream.rabbit import RabbitBroker, TestRabbitBroker
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import Effect, OrderCreated, ReplayHandled
from messaging.collector import DeadLetter
from messaging.envelope import ATTEMPT, ERROR_CLASS, ERROR_REASON, LAST_FAILURE, REPLAY
from messaging.service import NotSent, Service
from messaging.testing import envelope
from operations import custody
from operations.app import build, create_api
from operations.replays import Replayer
from operations.settings import Settings
from rest import keys
from rest.callers import Scope

QUEUE = "payment.order.created"
Json = dict[str, Any]


def dead(queue: str = QUEUE, **changes: Any) -> DeadLetter:
    """An order's first event as it lies among the dead letters; `at`: seconds ago that it failed."""
    order_id = changes.pop("order_id", uuid4())
    created = OrderCreated.example()
    event = created.model_copy(update={"order_id": order_id, "event_id": OrderCreated.id_for(order_id)})
    failed = datetime.now(UTC) - timedelta(seconds=changes.pop("at", 0))
    noted = {ATTEMPT: 5, ERROR_CLASS: "Bug", ERROR_REASON: "division by zero", LAST_FAILURE: failed.isoformat()}
    given: Json = {
        "body": event.model_dump_json().encode(),
        "headers": {**noted, **changes.pop("headers", {})},
        "routing_key": queue,
        "message_id": str(event.event_id),
        "type": event.message_type(),
        "correlation_id": str(order_id),
        "content_type": "application/json",
        "timestamp": datetime(2026, 11, 2, tzinfo=UTC),
        "app_id": "order_api",
    }
    return DeadLetter(queue=f"{queue}.dlq" if "unrouted" not in queue else queue, **given | changes)


@dataclass
class Sender:
    """Stands in for the broker: notes what was put back, and can be away."""

    sent: list[tuple[DeadLetter, str | None, UUID]] = field(default_factory=list[tuple[DeadLetter, str | None, UUID]])
    away: bool = False

    async def put_back(self, letter: DeadLetter, queue: str | None, replay_id: UUID) -> None:
        """Take a dead letter."""
        if self.away:
            raise NotSent("the broker is away")
        self.sent.append((letter, queue, replay_id))


@dataclass
class Room:
    """The control room."""

    service: Service
    broker: RabbitBroker
    http: httpx2.AsyncClient
    settings: Settings
    sender: Sender
    replayer: Replayer

    async def store(self, *letters: DeadLetter) -> list[Json]:
        """Take dead letters into custody; returns all that are open, the newest first."""

        async def work(db: AsyncSession) -> Sequence[Any]:
            await custody.store(db, letters)
            return ()

        await self.service.execute(work)
        return (await self.ask("GET", "/dead-letters", params={"limit": 500}))["dead_letters"]

    async def ask(self, method: str, path: str, *, status: int | None = None, **request: Any) -> Any:
        """Ask; the answer is a good one, or has that status."""
        answer = await self.http.request(method, path, **request)
        assert answer.status_code == status if status else answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def replay(self, **wish: Any) -> str:
        """Start a replay; returns its id."""
        wish.setdefault("selection", {"all": True})
        return (await self.ask("POST", "/replays", json=wish))["run_id"]

    async def go_on(self, run_id: str) -> Json:
        """Let the replayer take one turn; returns how far the run is."""
        await self.replayer.go_on()
        return await self.ask("GET", f"/replays/{run_id}")

    async def receive(self, replay_id: UUID, effect: Effect) -> None:
        """Let a receipt come."""
        receipt = ReplayHandled.about(replay_id, QUEUE, uuid4(), effect)
        await self.broker.publish(receipt, **envelope(receipt))

    async def answer(self, effect: Effect = Effect.APPLIED) -> None:
        """Answer everything that was sent and has no answer yet."""
        for _, _, replay_id in self.sender.sent:
            await self.receive(replay_id, effect)
        self.sender.sent.clear()

    async def fail(self) -> None:
        """Bring everything that was sent back as a dead letter."""
        came = [(letter, str(replay_id)) for letter, _, replay_id in self.sender.sent]
        self.sender.sent.clear()
        now = datetime.now(UTC).isoformat()
        headers = {ERROR_CLASS: "StillABug", ERROR_REASON: "no deploy yet", LAST_FAILURE: now}
        await self.store(
            *(
                dead(
                    body=letter.body,
                    message_id=letter.message_id,
                    correlation_id=letter.correlation_id,
                    headers={**headers, REPLAY: replay_id},
                )
                for letter, replay_id in came
            )
        )


@pytest.fixture
def given() -> Json:
    """What the control room is told by its environment; a test may override it."""
    return {"editing": True, "replay_interval": 3_600.0}


@pytest_asyncio.fixture
async def room(run_in_memory: Callable[..., Awaitable[Service]], given: Json) -> AsyncGenerator[Room]:
    """Run the control room without a broker."""
    service = await run_in_memory(build, Settings, **given)
    settings = Settings(**given, replay_lease=0.001)
    sender = Sender()
    replayer = Replayer(service.execute, service.database, sender.put_back, settings)
    token = await keys.create(service.database, "an-operator", {Scope.OPERATIONS})
    transport = httpx2.ASGITransport(create_api(service, settings), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        TestRabbitBroker(service.broker) as broker,
        httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers) as http,
    ):
        yield Room(service, broker, http, settings, sender, replayer)
