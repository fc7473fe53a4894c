"""The composed system for tests of it as a whole. What they expect adds up with what the end-to-end tests expect."""

from collections.abc import Callable

import pytest

from tests.e2e.conftest import all_is_well, checker, expected, shop, system
from tests.stack import selection

__all__ = ["all_is_well", "checker", "expected", "shop", "system", "tell"]


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Have a measurement printed at the end of the run."""
    return lambda said: selection.measured(request.config).append(said)
