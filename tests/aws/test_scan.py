"""A security scan of the templates by checkov, in an environment of its own (requirements/scan.txt)."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from devstack.aws.template import ARTIFACTS, MAIN, SERVICE
from devstack.paths import CHECKOUT, DOWNLOADS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TEMPLATES = (MAIN, SERVICE, ARTIFACTS)
AWS_KEY = "AWS's own key encrypts it; a key of ours would cost, and keep out nobody who may not read it anyway"
EXEMPT: Mapping[str, str] = {
    "CKV_AWS_149": AWS_KEY,  # secrets
    "CKV_AWS_158": AWS_KEY,  # log groups
    "CKV_AWS_136": AWS_KEY,  # repositories
    "CKV_AWS_157": "a parameter, on by default: DatabaseMultiAz",
    "CKV_AWS_118": "no runbook asks what the databases' machines do in detail; it can be switched on when needed",
    "CKV_AWS_161": "clients know passwords, as everywhere else; each role has its own, and TLS is forced",
    "CKV_AWS_91": "customers' addresses would be in one more place, which erasing a customer does not reach",
    "CKV_AWS_18": "the bucket holds templates and scripts, nothing of customers and nothing secret",
    "CKV_AWS_111": "sessions and the registry's login know no resources; tests/aws/rules.py names each such action",
}
"""Checks that fail, and why they may."""


@pytest.fixture(scope="module")
def checkov() -> Path:
    """The scanner, installed as it is locked."""
    home = DOWNLOADS / "scan"
    lock = CHECKOUT / "requirements" / "scan.txt"
    stamp = home / ".installed"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        uv = Path(sys.executable).parent / "uv"
        subprocess.run([uv, "venv", "--quiet", "--clear", home], check=True)  # noqa: S603 - our own tool and folder
        command = [uv, "pip", "install", "--quiet", "--python", home / "bin" / "python", "--require-hashes", "-r", lock]
        subprocess.run(command, check=True)  # noqa: S603 - as above
        stamp.write_text(lock.read_text())
    return home / "bin" / "checkov"


def failed(checkov: Path, folder: Path) -> set[tuple[str, str]]:
    """Checks that templates fail, each with the resource."""
    command = [checkov, "--directory", folder, "--framework", "cloudformation", "--output", "json", "--quiet"]
    done = subprocess.run(  # noqa: S603 - our own tool and folder
        [*command, "--skip-download"], capture_output=True, text=True, check=False
    )
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["summary"]["parsing_errors"] == 0
    assert told["summary"]["passed"] > 100
    return {(each["check_id"], each["resource"]) for each in told["results"]["failed_checks"]}


def test_the_scan_finds_what_is_exempt_and_nothing_else(checkov: Path, tmp_path: Path) -> None:
    """Each exemption has its reason and is needed; a planted breach is found beside them."""
    for template in TEMPLATES:
        shutil.copy(template, tmp_path)
    before = failed(checkov, tmp_path)
    assert {check for check, _ in before} == set(EXEMPT)
    copy = tmp_path / SERVICE.name
    copy.write_text(copy.read_text().replace("StorageEncrypted: true", "StorageEncrypted: false"))
    assert failed(checkov, tmp_path) - before == {("CKV_AWS_16", "AWS::RDS::DBInstance.Database")}
