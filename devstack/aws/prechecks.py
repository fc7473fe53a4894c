"""What can be known before a stack is made: from the files alone, and with credentials from AWS, too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import boto3  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]

from devstack.aws.template import ARTIFACTS, FOLDER, MAIN, SERVICE, Template
from devstack.paths import CHECKOUT
from devstack.services import SERVICES

MOST_INLINE = 51_200
"""Bytes of a template that a request may hold; a larger one comes from a bucket."""
ALARMS = CHECKOUT / "deploy" / "monitoring" / "cloudformation.json"
IMAGES = (*SERVICES, "setup")
SELF_HOSTED = "rabbitmq"


@dataclass(frozen=True)
class Checked:
    """One precheck. `good` is None for what could not be looked at."""

    what: str
    good: bool | None
    said: str


def of_files(template: Template) -> Iterator[Checked]:
    """What needs no AWS account: templates, parameters, sizes, images."""
    yield _lint()
    refused = dict(template.refused())
    for name, wrong in refused.items():
        yield Checked(f"parameter {name}", good=False, said=wrong)
    if not refused:
        yield Checked("parameters", good=True, said="all are given, and fit")
    yield from _fit_together(template.values)
    size = MAIN.stat().st_size
    where = "so it goes by way of the bucket, as the nested ones do" if size > MOST_INLINE else "so it fits a request"
    yield Checked("size", good=True, said=f"{size:,} bytes of {MOST_INLINE:,} that a request may hold, {where}")
    release = template.values["Release"] or "RELEASE"
    named = ", ".join(f"{template.values['ImagePrefix']}-{image}" for image in images(template))
    yield Checked("images", good=None, said=f"to be in the registry, with the tag {release}: {named}")


def of_account(template: Template, session: Any) -> Iterator[Checked]:
    """What an account has already, if there are credentials; nothing is made."""
    region = session.region_name
    yield Checked("region", good=region is not None, said=region or "is not known: --region, or AWS_DEFAULT_REGION")
    if session.get_credentials() is None:
        yield Checked(
            "AWS", good=None, said="no credentials: account, bucket, images and certificate were not looked at"
        )
        return
    if region is None:
        return
    values = template.values

    def account() -> str:
        return f"account {session.client('sts').get_caller_identity()['Account']}"

    def files() -> str:
        key = f"releases/{values['Release']}/bootstrap.sh"
        session.client("s3").head_object(Bucket=values["Artifacts"], Key=key)
        return f"{key} is in {values['Artifacts']}"

    def pushed() -> str:
        for image in images(template):
            session.client("ecr").describe_images(
                repositoryName=f"{values['ImagePrefix']}-{image}", imageIds=[{"imageTag": values["Release"]}]
            )
        return f"all are there, with the tag {values['Release']}"

    def certificate() -> str:
        found = session.client("acm").describe_certificate(CertificateArn=values["CertificateArn"])["Certificate"]
        return f"{found['DomainName']}, {found['Status'].lower()}"

    looks: dict[str, Callable[[], str]] = {
        "AWS": account, "hosts' files": files, "images in the registry": pushed, "certificate": certificate,
    }  # fmt: skip
    for what, look in looks.items():
        yield _looked(what, look)


def images(template: Template) -> tuple[str, ...]:
    """The images that the hosts run."""
    return IMAGES if template.holds("AmazonMq") else (*IMAGES, SELF_HOSTED)


def session(region: str | None) -> Any:
    """How AWS is asked: by the standard chain of credentials."""
    return cast("Any", boto3).Session(region_name=region)


def _looked(what: str, look: Callable[[], str]) -> Checked:
    try:
        return Checked(what, good=True, said=look())
    except (BotoCoreError, ClientError) as failure:
        return Checked(what, good=False, said=str(failure))


@cache  # the same files give the same answer, which takes seconds
def _lint() -> Checked:
    program = Path(sys.executable).parent / "cfn-lint"
    done = subprocess.run([program, MAIN, SERVICE, ARTIFACTS, ALARMS], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip()
    place = FOLDER.relative_to(CHECKOUT)
    return Checked(
        "templates", good=not said, said=said or f"cfn-lint has nothing to say of {place}/*.yaml and the alarms"
    )


def _fit_together(values: Mapping[str, Any]) -> Iterator[Checked]:
    """What no declaration of a single parameter can say."""
    least, most = str(values["HostsMin"]), str(values["HostsMax"])
    if least.isdecimal() and most.isdecimal() and int(most) <= int(least):
        wrong = f"HostsMax is to be more than HostsMin ({least}): an update starts a new host before an old one ends"
        yield Checked("hosts", good=False, said=wrong)
    managed = str(values["BrokerType"]).startswith("mq.")
    if managed != (values["Broker"] == "amazon-mq"):
        wanted = "t3.medium, for example" if managed else "mq.m7g.large, for example"
        yield Checked("broker", good=False, said=f"Broker={values['Broker']} needs another BrokerType: {wanted}")
