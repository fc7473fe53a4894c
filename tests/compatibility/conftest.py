"""The documents under test."""

import copy

import pytest

from devstack.document import SERVICES
from messaging.asyncapi.generate import generate
from messaging.asyncapi.profile import Json


@pytest.fixture(scope="session")
def base() -> Json:
    """The document as the code has it; not to be changed."""
    return generate(SERVICES)


@pytest.fixture
def head(base: Json) -> Json:
    """A copy of it in which a test plants a change."""
    return copy.deepcopy(base)
