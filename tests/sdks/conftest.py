"""One local stack for all SDKs, and what the short form leaves out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import LocalStack, local_stack

LONG = frozenset({"test_cookieless_pages.py"})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path.name in LONG and not config.getoption("--all-sdks") else None


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with local_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
