"""Every Python example of a page runs as it is printed there.

A block with a test function is a test: it gets the fixtures that it names. A block whose parts begin with a comment
like `# shipping/handlers.py` is added to those modules, each part at its module's end; the service is built with it.
"""

import functools
import importlib
import importlib.util
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from faststream.rabbit import TestRabbitBroker
from sqlalchemy import text

import contracts
from contracts import InventoryReserved, Money, PaymentCaptured
from messaging.database import Database
from messaging.service import Service
from messaging.settings import ServiceSettings
from messaging.testing import envelope
from tests.docs.markdown import PAGES, README, TUTORIAL, Block

BLOCKS = [block for page in PAGES if page.path != TUTORIAL.path for block in page.blocks("python")]
TESTS = [block for block in BLOCKS if re.search(r"^(async )?def test_", block.text, re.MULTILINE)]
ADDITIONS = [block for block in BLOCKS if block not in TESTS]

_PART = re.compile(r"^# ([a-z_]+/[a-z_]+\.py)\b.*$", re.MULTILINE)

Run = Callable[..., Awaitable[Service]]
MakeDatabase = Callable[[str], Awaitable[Database]]


def module_of(block: Block, folder: Path) -> ModuleType:
    """The block, imported."""
    path = folder / "example.py"
    path.write_text(block.text)
    spec = importlib.util.spec_from_file_location("example", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("block", TESTS, ids=lambda block: block.place)
async def test_an_example_passes(
    block: Block, tmp_path: Path, run_in_memory: Run, service_database: MakeDatabase
) -> None:
    """A test that a page shows passes."""
    fixtures = {"run_in_memory": run_in_memory, "service_database": service_database}
    examples = [function for name, function in vars(module_of(block, tmp_path)).items() if name.startswith("test_")]
    assert examples
    for example in examples:
        result = example(**{name: fixtures[name] for name in inspect.signature(example).parameters})
        if inspect.isawaitable(result):
            await result


def parts(block: Block) -> Iterator[tuple[str, str]]:
    """What a block adds to which module."""
    _, *found = _PART.split(block.text)
    yield from zip(found[::2], found[1::2], strict=True)


def built_with(block: Block) -> tuple[Callable[[ServiceSettings], Service], type[ServiceSettings]]:
    """The `build` of the service that a block adds to, with the block, and that service's settings."""
    name = next(path for path, _ in parts(block) if path.endswith("app.py")).partition("/")[0]
    app = importlib.import_module(f"{name}.app")

    @functools.wraps(app.build)
    def build(settings: ServiceSettings) -> Service:
        service: Service = app.build(settings)
        added: dict[str, Any] = {}
        for path, code in parts(block):
            module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
            handlers = SimpleNamespace(**added)
            space = {**vars(contracts), **vars(module), **added, "service": service, "handlers": handlers}
            before = dict(space)
            exec(compile(code, block.place, "exec"), space)  # noqa: S102 - the page's own code
            added |= {key: value for key, value in space.items() if before.get(key) is not value}
        return service

    return build, importlib.import_module(f"{name}.settings").Settings


@pytest.mark.parametrize("block", ADDITIONS, ids=lambda block: block.place)
async def test_an_addition_is_taken(block: Block, run_in_memory: Run) -> None:
    """A service takes what a page adds to it: a handler more, with its queue and its publishers."""
    build, settings = built_with(block)
    service = await run_in_memory(build, settings)
    before: Service = importlib.import_module(f"{service.name}.app").service
    assert before.routes.keys() < service.routes.keys()


async def test_the_readme_s_handler_insures_what_is_valuable(run_in_memory: Run) -> None:
    """The added handler hears of a captured payment, sees the shipment's row, and says what its signature promises."""
    [block] = [block for block in ADDITIONS if block.place.startswith(README.name)]
    service = await run_in_memory(*built_with(block))
    assert "shipping.payment.captured" in service.routes
    reserved, captured = InventoryReserved.example(), PaymentCaptured.example()
    costly = captured.model_copy(update={"amount": Money(amount=50_000, currency="EUR")})
    async with TestRabbitBroker(service.broker) as br:
        await br.publish(reserved, **envelope(reserved))
        await br.publish(costly, **envelope(costly))
    async with service.database.session() as db:
        said = (await (await db.connection()).execute(text("SELECT name, body FROM outbox ORDER BY id"))).all()
    assert [name for name, _ in said] == ["shipping.ready", "shipping.insured"]
    assert '"amount":50000' in said[1][1]


def test_the_readme_s_examples_are_about_ten_lines() -> None:
    """Each fits the promise: ten lines, imports, comments and blank lines apart."""
    for block in (block for block in BLOCKS if block.place.startswith(README.name)):
        lines = [line for line in block.text.splitlines() if line and not line.startswith(("#", "import ", "from "))]
        assert len(lines) <= 10, block.place
