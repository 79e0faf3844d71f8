"""What a read may hold in memory: a document is bounded, a workspace has its share, and all of it is given back."""

import asyncio
from contextvars import Context
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.errors import ApiError
from schemas.settings import Settings
from sinks.read_api.contacts.query_batcher import QueryBatcher
from sinks.read_api.graphql.types import plain
from sinks.read_api.request import weight
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

MIB = weight.MIB


class _Database:
    """Answers every query with one row of a text; counts them."""

    def __init__(self, size: int) -> None:
        self.asked = 0
        self._row = ("x" * size,)

    async def query(self, _sql: str, **_more: Any) -> Any:
        self.asked += 1
        await asyncio.sleep(0)
        return SimpleNamespace(column_names=("text",), result_rows=[self._row])


def _reader(size: int) -> tuple[ClickHouseReader, _Database]:
    reader, database = ClickHouseReader(Settings()), _Database(size)
    reader._client = database  # type: ignore[assignment]  # what is read from it is all that matters here
    return reader, database


async def test_a_document_that_reads_too_much_is_refused_before_it_reads_all_of_it() -> None:
    reader, database = _reader(10 * MIB)
    with weight.counted() as request:
        request.bound(weight.MOST_IN_DOCUMENT)
        for _ in range(weight.MOST_IN_DOCUMENT // (10 * MIB)):
            await reader.rows("SELECT 1", workspace="w")
        with pytest.raises(ApiError) as refused:
            await reader.rows("SELECT 1", workspace="w")
        assert refused.value.code == "too_complex"
        with pytest.raises(ApiError):
            await reader.rows("SELECT 1", workspace="w")
    assert database.asked == weight.MOST_IN_DOCUMENT // (10 * MIB) + 1
    assert weight.HELD.held == 0


async def test_what_is_read_once_and_answered_many_times_counts_each_time() -> None:
    reader, _ = _reader(5 * MIB)
    with weight.counted() as request:
        request.bound(weight.MOST_IN_DOCUMENT)
        (row,) = await reader.rows("SELECT 1", workspace="w")
        for _ in range(weight.MOST_IN_DOCUMENT // (5 * MIB) - 1):
            plain(row)
        with pytest.raises(ApiError, match="larger"):
            plain(row)
    assert weight.HELD.held == 0


async def test_a_workspace_holds_its_share_and_another_one_reads_on() -> None:
    reader, _ = _reader(30 * MIB)
    refused = 0
    done = asyncio.Event()

    async def page(workspace: str) -> None:
        nonlocal refused
        with weight.counted():
            try:
                await reader.rows("SELECT 1", workspace=workspace)
            except ApiError as error:
                assert error.status == 503
                refused += 1
            await done.wait()

    flood = [asyncio.create_task(page("loud")) for _ in range(50)]
    await asyncio.sleep(0.2)
    assert 40 <= refused < 50
    before = refused
    other = asyncio.create_task(page("quiet"))
    await asyncio.sleep(0.05)
    done.set()
    await asyncio.gather(*flood, other)
    assert refused == before
    assert weight.HELD.held == 0


async def test_a_query_for_many_requests_counts_for_none_of_them() -> None:
    reader, _ = _reader(10 * MIB)

    async def ask(_home: Tenant, questions: Any) -> Any:
        assert weight.current() is None
        return [(await reader.rows("SELECT 1", workspace="w"))[0] for _ in questions]

    gathered: QueryBatcher[str, Any] = QueryBatcher(ask)
    home = Tenant("w", "e", {})
    with weight.counted() as request:
        request.bound(MIB)
        assert len((await gathered.ask(home, "q"))["text"]) == 10 * MIB


def test_what_a_row_weighs_is_what_is_in_it() -> None:
    assert weight.size_of([]) == 0
    for value in ("x" * MIB, b"x" * MIB, ["x" * (MIB // 2)] * 2, {"x" * (MIB // 2): ("y" * (MIB // 2),)}):
        assert MIB <= weight.size_of([(1, value, None)]) < MIB + 1_000
    assert Context().run(weight.current) is None
