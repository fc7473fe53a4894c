"""A host of AWS in a container: the release's own files, the real client of AWS, and moto's server for AWS.

Docker, systemd and volumes are stood in for by programs that write down what they are asked (the folder `host`).
"""

import json
import site
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.aws.template import FOLDER
from tests.stack.docker import docker

HERE = Path(__file__).parent
IMAGE = "python:3.13-slim"
SERVICES = ("order_api", "payment", "inventory", "shipping")
INSTANCE, ADDRESS = "i-0123456789abcdef0", "10.20.3.7"
BROKER = "broker.test"

_START = """
set -u
mkdir -p /etc/pki/tls/certs /opt/orders /tls
cp /files/* /opt/orders/
echo '-- public authorities --' >/etc/pki/tls/certs/ca-bundle.crt
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$TRUSTED" \
    -addext "subjectAltName=DNS:$TRUSTED" -keyout /tls/key.pem -out /tls/certificate.pem 2>/record/openssl
cp /tls/certificate.pem /opt/orders/rds.pem
echo "127.0.0.1 $BROKER" >>/etc/hosts
management &
until [ -e /tls/up ]; do sleep 0.1; done
status=0
for _ in $(seq "$STARTS"); do bash /opt/orders/bootstrap.sh || status=$?; done
find /run/orders -printf '%P %U %m\\n' >/record/tree
cd /run/orders && tar --create --file=/record/run.tar . && chmod -R a+rwX /record
exit $status
"""


@dataclass(frozen=True)
class Started:
    """What became of a host's start."""

    status: int
    printed: str
    record: Path
    tree: Mapping[str, str]
    """Owner and mode of each path beneath /run/orders: `10001 400`."""
    texts: Mapping[str, str]
    """What each file there says."""

    @property
    def docker(self) -> Sequence[Mapping[str, Any]]:
        """What Docker was asked, in order: `said`, its arguments, and `given`, its standard input."""
        return [json.loads(line) for line in (self.record / "docker").read_text().splitlines()]

    @property
    def management(self) -> Sequence[Mapping[str, Any]]:
        """What the broker's management API was asked."""
        return [json.loads(line) for line in (self.record / "management").read_text().splitlines()]

    def asked(self, program: str, beginning: str = "") -> Sequence[str]:
        """The calls of a program that begin so."""
        record = self.record / program
        lines = record.read_text().splitlines() if record.exists() else []
        return [line.strip() for line in lines if line.startswith(beginning)]

    def runs(self, name: str) -> Sequence[Sequence[str]]:
        """How containers of that name were started."""
        said = [each["said"] for each in self.docker]
        return [each for each in said if each[0] == "run" and each[each.index("--name") + 1] == name]


def options(said: Sequence[str], name: str) -> Sequence[str]:
    """The values of an option of a command line."""
    return [said[place + 1] for place, each in enumerate(said) if each == name]


def environment(said: Sequence[str]) -> Mapping[str, str]:
    """The variables of a container."""
    pairs = (each.partition("=") for each in options(said, "--env"))
    return {name: value for name, _, value in pairs}


def variables(script: str) -> Mapping[str, str]:
    """What user data writes to /etc/orders.env."""
    written = script.partition("<<'END'\n")[2].partition("END\n")[0]
    pairs = (line.partition("=") for line in written.splitlines())
    return {name: value for name, _, value in pairs}


def gateway() -> str:
    """This machine's address for containers; the network reaches it no more than 127.0.0.1."""
    return docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}").strip()


def start(  # noqa: PLR0913 - what a host finds around it
    folder: Path, bytecode: Path, endpoint: str, given: Mapping[str, str], *, starts: int = 1, tmpfs: bool = True,
    **told: str,
) -> Started:  # fmt: skip
    """Start a host in a container, which ends when its bootstrap has.

    `given` is what user data writes to /etc/orders.env; `told` is for the programs that stand in. `bytecode` keeps what
    Python compiles, for the client is many modules.
    """
    record = folder / "record"
    record.mkdir(parents=True)
    told = {
        "READY_WITHIN": "30",
        **given,
        "INSTANCE": INSTANCE,
        "ADDRESS": ADDRESS,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "anything",
        "AWS_SECRET_ACCESS_KEY": "anything",
        "SERVICES": " ".join((*SERVICES, "operations")),
        "STARTS": str(starts),
        "BROKER": BROKER,
        "TRUSTED": BROKER,
        **told,
    }
    volumes = [
        f"{FOLDER / 'host'}:/files:ro",
        f"{record}:/record",
        f"{bytecode}:/bytecode",
        f"{site.getsitepackages()[0]}:/site:ro",
        *(f"{path}:/usr/local/bin/{path.name}:ro" for path in (HERE / "host").iterdir()),
    ]
    done = subprocess.run(  # noqa: S603 - a test's own arguments
        [
            *("docker", "run", "--rm", *(["--tmpfs=/run"] if tmpfs else [])),
            *(f"--volume={each}" for each in volumes),
            *(f"--env={name}={value}" for name, value in told.items()),
            *(IMAGE, "bash", "-c", _START),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    tree = {
        path: f"{owner} {mode}"
        for path, owner, mode in (line.rsplit(" ", 2) for line in (record / "tree").read_text().splitlines())
    }
    return Started(done.returncode, done.stdout + done.stderr, record, tree, _texts(record / "run.tar"))


def _texts(path: Path) -> Mapping[str, str]:
    texts: dict[str, str] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if (content := archive.extractfile(member)) is not None:
                texts[member.name.removeprefix("./")] = content.read().decode()
    return texts
