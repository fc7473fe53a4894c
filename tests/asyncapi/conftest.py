"""The documents under test."""

import copy
import os

import pytest

from devstack.document import SERVICES
from devstack.errors import StackError
from messaging.asyncapi.generate import generate
from messaging.asyncapi.profile import Json
from tests.asyncapi.checks import Parser, installed_parser


@pytest.fixture(scope="session")
def generated() -> Json:
    """The document as the code has it; not to be changed."""
    return generate(SERVICES)


@pytest.fixture
def document(generated: Json) -> Json:
    """A copy of it in which a test may plant a fault."""
    return copy.deepcopy(generated)


@pytest.fixture(scope="session")
def parser() -> Parser:
    """AsyncAPI's own parser; where it cannot be installed the test is skipped, and fails in CI."""
    try:
        return installed_parser()
    except StackError as failure:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"@asyncapi/parser: {failure}")
