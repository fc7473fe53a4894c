"""House rules that no off-the-shelf linter knows. Each is a function from one module's syntax tree to what breaks it.

`check_source` looks at one module, `check_tree` at a whole checkout. A rule says what it guards in its docstring; the
places that it exempts are constants here, each with its reason.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from devstack.services import SERVICES

SHIPPED = ("contracts", "messaging", "rest", *SERVICES)
"""Packages that run in production."""
TREE = (*SHIPPED, "devstack", "benchmarks", "tests")

SERVICE_FILES = ("__init__.py", "app.py", "domain.py", "handlers.py", "models.py", "settings.py", "migrations/env.py")
"""What each service has, under these names."""

ROOT = Path(__file__).parents[2]
"""This checkout."""

EDGE = PurePosixPath("messaging/edge.py")
TRANSACTION = PurePosixPath("messaging/transaction.py")
"""What the edge commits: the driver's transaction with a session in it."""
TOPOLOGY = PurePosixPath("messaging/topology.py")
TRANSACTIONS_OF_THEIR_OWN = (
    str(TRANSACTION),  # rolls back at its end what the edge has not committed
    "rest/keys.py",  # `./run keys`: an operator at a terminal, who sees whether it worked
    "order_api/seed.py",  # a job ahead of traffic, one idempotent statement
    "inventory/seed.py",  # as above
    "messaging/migrations.py",  # Alembic's transaction
)

_BASIC = ("publish", "ack", "nack", "reject")
EDGE_CALLS = {"commit", "publish_batch", "ack_batch", *_BASIC, *(f"basic_{call}" for call in _BASIC)}
TRANSACTION_CALLS = {"begin", "transaction"}
CRASHES: Mapping[PurePosixPath, Collection[str]] = {
    EDGE: EDGE_CALLS,
    PurePosixPath("messaging/pipeline.py"): {"route.prepare"},
    PurePosixPath("messaging/remote.py"): {"self._in_time"},
}
"""Calls that must lie between two crash points, by the module that alone makes them."""

_OBJECTS = re.compile(r"orders\.(events|unrouted|requeue|dead|retry)(\..*)?|.*\.dlq")
_QUEUES = re.compile(rf"orders\.\S+|({'|'.join(SERVICES)})\.[a-z_]+\.[a-z_]+")
_NAMELESS = {"util", "utils", "helper", "helpers", "common", "misc"}
_BROAD = {"Exception", "BaseException"}


@dataclass(frozen=True)
class Module:
    """A module's place in the checkout, and its syntax tree."""

    path: PurePosixPath
    tree: ast.Module

    @property
    def package(self) -> str:
        """The top-level package."""
        return self.path.parts[0]

    @property
    def is_core(self) -> bool:
        """Whether it holds a service's handlers or rules."""
        return self.package in SERVICES and self.path.name in {"handlers.py", "domain.py"}

    @property
    def is_shipped(self) -> bool:
        """Whether it runs in production."""
        return self.package in SHIPPED


@dataclass(frozen=True)
class Violation:
    """One breach of one rule."""

    rule: str
    path: PurePosixPath
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what} [{self.rule}]"


Finding = tuple[int, str]
Rule = Callable[[Module], Iterator[Finding]]


def edge_calls(module: Module) -> Iterator[Finding]:
    """`commit`, `publish` and `ack` belong to messaging/edge.py; everyone else says `edge.commit(...)`."""
    if not module.is_shipped or module.path in {EDGE, TRANSACTION}:
        return
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="edge"), ctx=ast.Load()) if _imports_edge(module):
                continue
            case ast.Attribute(attr=name, ctx=ast.Load()) if name in EDGE_CALLS:
                yield node.lineno, f"{ast.unparse(node)} outside {EDGE}"
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]) if (
                name in EDGE_CALLS
            ):
                yield node.lineno, f"{ast.unparse(node)} outside {EDGE}"
            case ast.Constant(value=str(text)) if text.strip(" \n;").upper() in {"COMMIT", "AUTOCOMMIT"}:
                yield node.lineno, f"{text!r} outside {EDGE}"
            case _:
                continue


def own_transactions(module: Module) -> Iterator[Finding]:
    """A `begin()` block commits by itself, past every crash point: only what lies outside our units may have one."""
    if not module.is_shipped or str(module.path) in TRANSACTIONS_OF_THEIR_OWN or "migrations" in module.path.parts:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in TRANSACTION_CALLS:
            yield node.lineno, f"{ast.unparse(node)}() commits outside {EDGE}"


def crash_points(module: Module) -> Iterator[Finding]:
    """Each commit, publish, ack and remote call lies between the two crash points of one step."""
    watched = CRASHES.get(module.path)
    if watched is None:
        return
    for function in ast.walk(module.tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        points = [(line, name) for line, name in map(_crash_point, function.body) if name]
        for call in ast.walk(function):
            if not isinstance(call, ast.Call):
                continue
            called = ast.unparse(call.func)
            if not {called, called.rpartition(".")[2]} & set(watched):
                continue
            ahead = {
                name.removesuffix(".before") for line, name in points if line < call.lineno and name.endswith(".before")
            }
            behind = {
                name.removesuffix(".after") for line, name in points if line > call.lineno and name.endswith(".after")
            }
            if not ahead & behind:
                yield call.lineno, f"{function.name} calls {called} without a crash point before and after it"


def topology_names(module: Module) -> Iterator[Finding]:
    """Exchanges and queues are named in messaging/topology.py alone; handlers and domain know of none at all."""
    if not module.is_shipped or module.path == TOPOLOGY:
        return
    docstrings = {id(node) for node in _docstrings(module.tree)}
    for node in ast.walk(module.tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docstrings and (
                _OBJECTS.fullmatch(text) or (module.is_core and _QUEUES.fullmatch(text))
            ):
                yield node.lineno, f"{text!r} names an exchange or a queue"
            case _:
                continue


def swallowed_errors(module: Module) -> Iterator[Finding]:
    """No bare `except:`, and no `except Exception` that does nothing: an error is handled, or it is raised."""
    for node in ast.walk(module.tree):
        match node:
            case ast.ExceptHandler(type=None):
                yield node.lineno, "bare except"
            case ast.ExceptHandler(type=ast.expr() as caught, body=body) if _is_broad(caught) and all(
                map(_is_idle, body)
            ):
                yield node.lineno, f"except {ast.unparse(caught)} that does nothing"
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=caught) if any(
                map(_is_broad, caught)
            ):
                yield node.lineno, f"{ast.unparse(node)} swallows every error"
            case _:
                continue


def pydantic_only(module: Module) -> Iterator[Finding]:
    """contracts/ needs pydantic and the standard library, nothing else: whoever reads events needs no more."""
    if module.package != "contracts":
        return
    allowed = sys.stdlib_module_names | {"pydantic", "contracts"}
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=aliases, lineno=line):
                names = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(name), level=0, lineno=line):
                names = [name]
            case _:
                continue
        for name in names:
            if name.partition(".")[0] not in allowed:
                yield line, f"imports {name}"


def no_any(module: Module) -> Iterator[Finding]:
    """Signatures of contracts and domain say what they take and give: no Any."""
    if module.package != "contracts" and not (module.is_core and module.path.name == "domain.py"):
        return
    for function in ast.walk(module.tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        arguments = [node.annotation for node in ast.walk(function.args) if isinstance(node, ast.arg)]
        for annotation in filter(None, [*arguments, function.returns]):
            if "Any" in re.findall(r"\w+", ast.unparse(annotation)):
                yield function.lineno, f"{function.name} has Any in its signature"


def telling_names(module: Module) -> Iterator[Finding]:
    """A module is named for what it does: no utils, no helpers, no common."""
    for part in module.path.with_suffix("").parts:
        if part in _NAMELESS:
            yield 1, f"{part} says nothing of what it holds"


RULES: tuple[Rule, ...] = (
    edge_calls,
    own_transactions,
    crash_points,
    topology_names,
    swallowed_errors,
    pydantic_only,
    no_any,
    telling_names,
)


def check_source(path: str, source: str) -> list[Violation]:
    """Check one module as if it lay at `path` in the checkout."""
    module = Module(PurePosixPath(path), ast.parse(source, path))
    return [Violation(rule.__name__, module.path, *finding) for rule in RULES for finding in rule(module)]


def check_tree(root: Path) -> list[Violation]:
    """Check every module of the checkout, and that each service has the files that all have."""
    found = [
        violation
        for package in TREE
        for file in sorted((root / package).rglob("*.py"))
        for violation in check_source(file.relative_to(root).as_posix(), file.read_text())
    ]
    missing = [
        PurePosixPath(service, name)
        for service in SERVICES
        for name in SERVICE_FILES
        if not (root / service / name).is_file()
    ]
    return found + [Violation("same_files", path, 1, "is missing") for path in missing]


def _imports_edge(module: Module) -> bool:
    """Whether the module's name `edge` is messaging.edge."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "messaging"
        and any(a.name == "edge" and not a.asname for a in node.names)
        for node in ast.walk(module.tree)
    )


def _crash_point(statement: ast.stmt) -> tuple[int, str | None]:
    """The line of a statement and, if it is a call of crash_point, the point's name as it is written."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name() | ast.Attribute() as called, args=[name, *_])) if ast.unparse(
            called
        ) in {"crash_point", "edge.crash_point"}:
            return statement.lineno, ast.unparse(name).strip("f'\"")
        case _:
            return statement.lineno, None


def _docstrings(tree: ast.Module) -> Iterator[ast.expr]:
    """Every string that stands as a statement of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            yield node.value


def _is_broad(caught: ast.expr) -> bool:
    """Whether it catches everything."""
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(name, ast.Name) and name.id in _BROAD for name in names)


def _is_idle(statement: ast.stmt) -> bool:
    """Whether a statement does nothing with what was caught."""
    match statement:
        case (
            ast.Pass()
            | ast.Continue()
            | ast.Break()
            | ast.Return(value=None)
            | ast.Return(value=ast.Constant(value=None))
        ):
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case _:
            return False
