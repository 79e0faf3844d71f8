"""One local stack for all of this tier: started as a user starts it, once, with a collector for its traces."""

from collections.abc import Iterator

import pytest

from tests.support.otlp_collector import OtlpCollector, otlp_collector
from tests.support.stack import LocalStack, local_stack


@pytest.fixture(scope="session")
def collector() -> Iterator[OtlpCollector]:
    with otlp_collector() as running:
        yield running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, collector: OtlpCollector) -> Iterator[LocalStack]:
    home = tmp_path_factory.mktemp("stack")
    with local_stack(home, env=collector.variables, webhook_allow_private=True) as running:
        yield running
