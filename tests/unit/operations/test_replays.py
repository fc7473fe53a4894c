"""Replays: in steps, within a rate, stopped by failures and silence, paused, resumed, ended; receipts in any order."""

from uuid import uuid4

import pytest
from sqlmodel import col, func, select, update

from contracts import Effect
from messaging.outcome import Reject
from messaging.topology import UNROUTED
from operations.models import Replay, Run
from tests.unit.operations.conftest import QUEUE, Room, dead

pytestmark = pytest.mark.database


async def test_each_step_waits_for_its_receipts(room: Room) -> None:
    """The second step begins once the first one is answered, and the run ends with the last receipt."""
    await room.store(*(dead() for _ in range(15)))
    run_id = await room.replay()
    for step, size in enumerate((1, 10, 4), start=1):
        await room.go_on(run_id)
        run = await room.go_on(run_id)
        assert (run["step"], len(room.sender.sent)) == (step, size)
        await room.answer()
        await room.go_on(run_id)
    run = await room.ask("GET", f"/replays/{run_id}")
    assert (run["state"], run["applied"], run["sent"]) == ("done", 15, 15)


async def test_it_is_the_same_message_to_its_own_queue(room: Room) -> None:
    """Body and properties are as they were; an event that nobody heard goes to all queues."""
    first, second = dead(), dead(UNROUTED, routing_key="order.created")
    await room.store(first, second)
    await room.replay()
    for _ in range(4):
        await room.replayer.go_on()
        sent = room.sender.sent[-1:]
        await room.answer()
        for letter, queue, _ in sent:
            like = first if queue == QUEUE else second
            assert queue in {QUEUE, None}
            assert (letter.body, letter.message_id, letter.type) == (like.body, like.message_id, like.type)
            assert (letter.correlation_id, letter.timestamp) == (like.correlation_id, like.timestamp)
            assert letter.routing_key == like.routing_key


async def test_it_stops_by_itself_when_too_many_fail(room: Room) -> None:
    """It says why; an operator may let it go on, and what has failed is open again."""
    await room.store(*(dead() for _ in range(3)))
    run_id = await room.replay()
    await room.go_on(run_id)
    await room.fail()
    run = await room.go_on(run_id)
    assert (run["state"], run["why"]) == ("stopped", "1 of 1 failed again")
    assert len((await room.ask("GET", "/dead-letters"))["dead_letters"]) == 1
    assert (await room.go_on(run_id))["sent"] == 1
    await room.ask("POST", f"/replays/{run_id}/resume")
    for _ in range(2):
        await room.go_on(run_id)
    await room.answer()
    run = await room.go_on(run_id)
    assert (run["state"], run["applied"], run["failed"]) == ("done", 2, 1)


async def test_it_can_be_paused_and_resumed(room: Room) -> None:
    """A paused run sends nothing; both are recorded."""
    await room.store(*(dead() for _ in range(5)))
    run_id = await room.replay()
    await room.go_on(run_id)
    await room.ask("POST", f"/replays/{run_id}/pause")
    await room.answer()
    for _ in range(3):
        assert (await room.go_on(run_id))["sent"] == 1
    await room.ask("POST", f"/replays/{run_id}/pause", status=409)
    await room.ask("POST", f"/replays/{run_id}/resume")
    await room.go_on(run_id)
    assert (await room.go_on(run_id))["sent"] == 5
    actions = await room.ask("GET", "/actions")
    assert [each["action"] for each in actions] == ["resume", "pause", "replay"]


async def test_an_ended_run_opens_what_it_did_not_send(room: Room) -> None:
    """Nothing is left waiting for a turn that never comes; receipts of what was sent still count."""
    await room.store(*(dead() for _ in range(5)))
    run_id = await room.replay()
    await room.go_on(run_id)
    await room.ask("POST", f"/replays/{run_id}/end")
    assert len((await room.ask("GET", "/dead-letters"))["dead_letters"]) == 4
    await room.answer()
    run = await room.ask("GET", f"/replays/{run_id}")
    assert (run["state"], run["applied"]) == ("ended", 1)
    await room.ask("POST", f"/replays/{run_id}/resume", status=409)


async def test_silence_stops_it(room: Room) -> None:
    """Who waits for a receipt for ever never ends: after its patience the run holds, and may be resumed."""
    await room.store(dead(), dead())
    run_id = await room.replay()
    await room.go_on(run_id)
    async with room.service.database.engine.begin() as connection:
        yesterday = func.now() - func.make_interval(0, 0, 0, 1)
        await connection.execute(update(Replay).where(col(Replay.sent_at).is_not(None)).values(sent_at=yesterday))
    run = await room.go_on(run_id)
    assert (run["state"], run["why"]) == ("stopped", "1 without a receipt")
    await room.ask("POST", f"/replays/{run_id}/resume")
    assert (await room.go_on(run_id))["state"] == "running"
    await room.answer()
    await room.go_on(run_id)
    await room.go_on(run_id)
    await room.answer()
    assert (await room.go_on(run_id))["state"] == "done"


async def test_what_is_not_confirmed_is_sent_again(room: Room) -> None:
    """While the broker is away nothing counts as sent; under the same id it goes out when it is back."""
    await room.store(dead())
    run_id = await room.replay()
    room.sender.away = True
    assert (await room.go_on(run_id))["sent"] == 0
    room.sender.away = False
    assert (await room.go_on(run_id))["sent"] == 1


async def test_the_rate_is_kept(room: Room) -> None:
    """No more are sent in one turn than the rate allows for the time between two turns."""
    await room.store(*(dead() for _ in range(12)))
    run_id = await room.replay(rate=0.001)  # times an hour between turns: 3
    sizes: list[int] = []
    for _ in range(12):
        await room.go_on(run_id)
        sizes.append(len(room.sender.sent))
        await room.answer()
    assert max(sizes) == 3
    assert (await room.ask("GET", f"/replays/{run_id}"))["applied"] == 12


@pytest.mark.parametrize("effects", [(Effect.APPLIED, Effect.NONE), (Effect.NONE, Effect.APPLIED)])
async def test_receipts_come_in_any_order(room: Room, effects: tuple[Effect, ...]) -> None:
    """A crash makes two receipts of one replay: that it was applied is the truth."""
    await room.store(dead())
    run_id = await room.replay()
    await room.go_on(run_id)
    [(_, _, replay_id)] = room.sender.sent
    for effect in effects:
        await room.receive(replay_id, effect)
    run = await room.go_on(run_id)
    assert (run["applied"], run["no_effect"]) == (1, 0)


async def test_a_receipt_of_nothing_is_refused(room: Room) -> None:
    """A receipt for a replay that never was is parked, with the reason."""
    with pytest.raises(Reject, match="unknown replay"):
        await room.receive(uuid4(), Effect.APPLIED)


async def test_a_receipt_counts_for_an_ended_run_too(room: Room) -> None:
    """One dead letter in two runs, of which one is ended: the other one's receipt closes it all the same."""
    [letter] = await room.store(dead())
    first = await room.replay(selection={"ids": [letter["id"]]})
    await room.go_on(first)
    second = await room.replay(selection={"ids": [letter["id"]]})
    await room.ask("POST", f"/replays/{second}/end")
    assert len((await room.ask("GET", "/dead-letters"))["dead_letters"]) == 1
    await room.answer(Effect.NONE)
    assert (await room.ask("GET", "/dead-letters"))["dead_letters"] == []


async def test_pressing_twice_is_two_replays_of_one_message(room: Room) -> None:
    """One that was replayed before may be named again; by a filter it is not found any more."""
    [letter] = await room.store(dead())
    run_id = await room.replay(selection={"ids": [letter["id"]]})
    await room.go_on(run_id)
    await room.answer()
    again = await room.replay(selection={"ids": [letter["id"]]})
    await room.replayer.go_on()
    await room.answer(Effect.NONE)
    assert (await room.go_on(again))["no_effect"] == 1
    await room.ask("POST", "/replays", json={"selection": {"all": True}}, status=404)


async def test_it_must_be_said_which(room: Room) -> None:
    """An empty selection is no wish to replay everything."""
    await room.store(dead())
    problem = await room.ask("POST", "/replays", json={"selection": {}}, status=422)
    assert problem["errors"][0]["pointer"] == "#/selection"
    await room.ask("POST", "/replays", json={"selection": {"queue": "no.such"}}, status=404)


async def test_a_dry_run_changes_nothing(room: Room) -> None:
    """It tells how many there are, where, in which steps, and how long that takes."""
    await room.store(*(dead() for _ in range(12)))
    wish = {"selection": {"all": True}, "dry_run": True, "rate": 6}
    plan = await room.ask("POST", "/replays", json=wish, status=200)
    assert plan == {"total": 12, "by_queue": {QUEUE: 12}, "steps": [1, 10, 1], "seconds": 2.0, "run_id": None}
    async with room.service.database.session() as db:
        assert (await db.exec(select(func.count()).select_from(Run))).one() == 0
    assert await room.ask("GET", "/actions") == []
