"""What browsers show the two documents with: exactly these files, out of exactly these packages of the npm registry.

The bundles hold all that they need, so nothing that the packages depend on is installed. The image build runs this
module before anything else is there: it needs the standard library only.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import StackError
from devstack.node import find_node
from devstack.paths import CHECKOUT

ASSETS = CHECKOUT / "order_api" / "assets"
"""Where the order API serves them from. Not committed."""

_STAMP = ".installed"
_SECONDS = 120
_WAYS_OUT = (
    "npm's own settings name another registry or a proxy. Nothing else needs these files: /asyncapi and /openapi.json \
work without."
)


@dataclass(frozen=True)
class Package:
    """One version of a package and the files that are wanted of it.

    `integrity` is what the registry says of the archive (`npm view NAME@VERSION dist.integrity`).
    """

    name: str
    version: str
    integrity: str
    files: tuple[str, ...]

    def fetch(self, folder: Path) -> None:
        """Put the wanted files into a folder, without their own folders. Raises StackError if they cannot be had."""
        with tempfile.TemporaryDirectory() as place:
            archive = self._archive(Path(place))
            digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
            if f"sha512-{digest}" != self.integrity:
                raise StackError(f"{self.name} {self.version} is not what it was: its archive is sha512-{digest}")
            folder.mkdir(parents=True, exist_ok=True)
            with tarfile.open(archive) as packed:
                for file in self.files:
                    member = packed.extractfile(f"package/{file}")
                    if member is None:
                        raise StackError(f"{self.name} {self.version} has no file {file}")
                    (folder / Path(file).name).write_bytes(member.read())

    def _archive(self, place: Path) -> Path:
        wanted = f"{self.name}@{self.version}"
        command = [*find_node().npm, "pack", wanted, "--loglevel=error", "--fetch-retries=1"]
        try:
            done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            raise StackError(f"{wanted} could not be fetched from the npm registry within {_SECONDS} s") from None
        if done.returncode != 0:
            reason = "\n".join(done.stderr.splitlines()[:4])  # then comes npm's stack
            raise StackError(f"{wanted} could not be fetched from the npm registry:\n{reason}\n{_WAYS_OUT}")
        [archive] = place.glob("*.tgz")
        return archive


PACKAGES = {
    "asyncapi-react": Package(
        "@asyncapi/react-component",
        "3.2.1",
        "sha512-k5ZqJd6+oxYaQ2o6F3rGWJ1MTIjXdpsUYB3NKQbVqr4yzrN0Ovj5c7eZx8NGd3wfKPhbOrLREtYl9K2OPfnSsA==",
        ("browser/standalone/index.js", "browser/standalone/index.js.LICENSE.txt", "styles/default.min.css", "LICENSE"),
    ),
    "swagger-ui": Package(
        "swagger-ui-dist",
        "5.35.0",
        "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==",
        ("swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui.css", "LICENSE"),
    ),
}


def installed(target: Path = ASSETS, packages: Mapping[str, Package] = PACKAGES) -> bool:
    """Tell whether exactly these packages' files are there."""
    stamp = target / _STAMP
    return stamp.exists() and stamp.read_text() == _stamp(packages)


def install(target: Path = ASSETS, packages: Mapping[str, Package] = PACKAGES) -> None:
    """Install them, one folder each, all or none. Raises StackError if they cannot be had."""
    if installed(target, packages):
        return
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".assets-") as place:
        made = Path(place) / "made"
        for folder, package in packages.items():
            package.fetch(made / folder)
        (made / _STAMP).write_text(_stamp(packages))
        if installed(target, packages):  # another process was faster
            return
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)


def _stamp(packages: Mapping[str, Package]) -> str:
    return "".join(f"{folder}: {package}\n" for folder, package in packages.items())


if __name__ == "__main__":
    try:
        install()
    except StackError as failure:
        sys.exit(f"{failure}\nAn image without them is built with the argument VIEWERS=no.")
