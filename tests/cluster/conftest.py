"""One cluster for the whole run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, composed_cluster
from tests.stack import selection


@pytest.fixture(scope="session")
def cluster(servers_folder: Path) -> Iterator[Cluster]:
    """The composed cluster, built and healthy."""
    with composed_cluster(servers_folder / "cluster.log") as made:
        yield made


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say something at the end of the run."""
    return lambda said: selection.measured(request.config).append(said)
