"""What these tests need and cannot have."""

import os
from typing import Never

import pytest

from devstack.errors import StackError


def skip_unless_ci(what: str, failure: StackError) -> Never:
    """What cannot be had is a reason to skip, except where everything has to be tested."""
    if os.environ.get("CI"):
        raise failure
    pytest.skip(f"{what}: {failure}")
