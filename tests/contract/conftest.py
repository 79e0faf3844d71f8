"""A fresh embedded ClickHouse behind HTTP, and a table in it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.contract.clickhouse_front import http
from tests.support import services


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Always the embedded one, whatever the other tests talk to."""
    port = services.free_port()
    with services.clickhouse_front(tmp_path_factory.mktemp("front") / "data", port), http(port) as client:
        client.post("/", content="CREATE DATABASE x").raise_for_status()
        yield client


@pytest.fixture
def table(front: httpx.Client) -> httpx.Client:
    sql = "CREATE OR REPLACE TABLE x.t (a UInt64, b String DEFAULT 'd') ENGINE = MergeTree ORDER BY a"
    front.post("/", content=sql).raise_for_status()
    return front
