"""`dlq` at a terminal, against a control room that really listens."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from typer.testing import CliRunner, Result

from contracts import Effect
from devstack.ports import any_free_port
from messaging.envelope import ERROR_CLASS, ERROR_REASON
from operations.__main__ import app
from operations.app import create_api
from tests.broker.rabbit import until
from tests.unit.operations.conftest import QUEUE, Room, dead

pytestmark = pytest.mark.database

Dlq = Callable[..., Coroutine[Any, Any, Result]]


@pytest_asyncio.fixture
async def dlq(room: Room) -> AsyncGenerator[Dlq]:
    """Type a command: `await dlq("list", "--json")`."""
    port = any_free_port()
    config = uvicorn.Config(
        create_api(room.service, room.settings), port=port, lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    key = room.http.headers["Authorization"].removeprefix("Bearer ")

    async def started() -> bool:
        return server.started

    await until(started)

    async def type_in(*arguments: str, **environment: str) -> Result:
        given = {
            "OPERATIONS_URL": f"http://127.0.0.1:{port}",
            "OPERATIONS_KEY": key,
            "COLUMNS": "100",
            **environment,
        }
        return await asyncio.to_thread(CliRunner().invoke, app, ["dlq", *arguments], env=given)

    yield type_in
    server.should_exit = True
    await serving


async def working(room: Room) -> None:
    """The broker and the services: everything that is sent is applied."""
    while True:
        await room.replayer.go_on()
        await room.answer(Effect.APPLIED)
        await asyncio.sleep(0.02)


async def test_a_group_is_found_shown_and_replayed(room: Room, dlq: Dlq) -> None:
    """The five commands of somebody in a hurry, by the ids and fingerprints that they print."""
    [letter, *_] = await room.store(*(dead() for _ in range(12)))
    listed = await dlq("list", "--limit", "5")
    assert letter["id"][-8:] in listed.output
    assert "Bug: division by zero" in listed.output
    assert "and more; these are the newest 5" in listed.output
    grouped = await dlq("groups")
    assert f"{letter['fingerprint']}     12  {QUEUE}" in grouped.output
    shown = await dlq("show", letter["id"][-8:])
    assert "fits its contract" in shown.output
    assert '"payment_token": "***"' in shown.output
    plan = await dlq("replay", "--group", letter["fingerprint"][:6], "--dry-run")
    assert "12 dead letters would be sent again, in steps of 1, 10, 1" in plan.output
    work = asyncio.create_task(working(room))
    replayed = await dlq("replay", "--group", letter["fingerprint"][:6])
    work.cancel()
    assert replayed.exit_code == 0, replayed.output
    assert "is done: 12 of 12 sent; 12 applied, 0 without effect, 0 failed again" in " ".join(replayed.output.split())
    assert "no dead letters" in (await dlq("groups")).output
    assert "done" in (await dlq("replays")).output
    assert "replay" in (await dlq("actions")).output


async def test_a_replay_that_stops_says_how_to_go_on(room: Room, dlq: Dlq) -> None:
    """Status 1, the reason, and the commands that help."""
    await room.store(dead())
    waiting = asyncio.create_task(dlq("replay", "--all"))

    async def fail_all() -> None:
        while not waiting.done():
            await room.replayer.go_on()
            if room.sender.sent:
                await room.fail()
            await asyncio.sleep(0.02)

    await fail_all()
    stopped = await waiting
    assert stopped.exit_code == 1
    assert "stopped (1 of 1 failed again)" in stopped.output
    assert "`dlq resume` lets it go on, `dlq end` ends it" in " ".join(stopped.output.split())
    assert "holds itself: 1 of 1 failed again" in (await dlq("replays")).output
    assert "is ended" in (await dlq("end")).output


async def test_one_is_discarded_and_one_is_edited(room: Room, dlq: Dlq) -> None:
    """A reason is needed; a patch that is no JSON is refused before anything is asked."""
    first, second = await room.store(dead(), dead())
    assert (await dlq("discard", first["id"])).exit_code == 2
    assert "is discarded" in (await dlq("discard", first["id"], "--reason", "a test order")).output
    bad = await dlq("edit", second["id"], "--changes", "{", "--reason", "just trying")
    assert (bad.exit_code, "this is no JSON" in bad.output) == (2, True)
    work = asyncio.create_task(working(room))
    good = await dlq("edit", second["id"], "--changes", '{"customer_id": "c-7"}', "--reason", "a typing error")
    work.cancel()
    assert "1 applied" in good.output
    assert "edited" in (await dlq("list", "--state", "edited")).output


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "said"),
    [
        (("list",), {"OPERATIONS_KEY": ""}, 2, "Give an API key"),
        (("list",), {"OPERATIONS_KEY": "wrong"}, 1, "401"),
        (("list",), {"OPERATIONS_URL": "http://127.0.0.1:1"}, 2, "does not answer"),
        (("show", "ffff"), {}, 1, "There is no dead letter 'ffff'"),
        (("show", "-"), {}, 1, "There is no dead letter '-'"),
        (("replay",), {}, 2, "say which"),
        (("replay", "--group", "zzz"), {}, 1, "There is no group 'zzz'"),
        (("replay", "--queue", "no.such"), {}, 1, "nothing is there to be replayed"),
        (("pause",), {}, 1, "There is no replay ''"),
        (("list", "--order", "x"), {}, 1, "order_id"),
    ],
)
async def test_what_goes_wrong_is_said_in_a_line(
    dlq: Dlq, arguments: tuple[str, ...], environment: dict[str, str], status: int, said: str
) -> None:
    """Status 1 for what is refused, 2 for what was typed wrongly or does not answer."""
    done = await dlq(*arguments, **environment)
    assert done.exit_code == status, done.output
    assert said in done.output
    assert "Traceback" not in done.output


async def test_programs_read_json(room: Room, dlq: Dlq) -> None:
    """Everything that is listed or shown is there for programs, too."""
    other = {ERROR_CLASS: "Poison", ERROR_REASON: "no event"}
    letter, _ = await room.store(dead(), dead(headers=other))
    commands: dict[tuple[str, ...], type[Any]] = {
        ("list",): dict,
        ("groups",): list,
        ("show", letter["id"]): dict,
        ("replay", "--all", "--dry-run"): dict,
        ("replay", "--all", "--no-wait"): dict,
        ("replays",): list,
        ("actions",): list,
    }
    for arguments, kind in commands.items():
        done = await dlq(*arguments, "--json")
        assert isinstance(json.loads(done.output), kind), done.output
