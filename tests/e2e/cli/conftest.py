"""A stack of the command line's own, which ends with its tests: examples make segments, imports, a poisoned record."""

from collections.abc import Iterator

import pytest

from tests.support.stack import LocalStack, local_stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with local_stack(tmp_path_factory.mktemp("stack"), webhook_allow_private=True) as running:
        yield running
