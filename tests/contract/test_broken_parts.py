"""Which parts of a database that runs are found broken, by errors that name one and by errors that do not."""

from collections.abc import AsyncIterator
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from sinks.maintenance.broken_parts import ErrorWatch, put_aside
from tests.support import services

pytestmark = pytest.mark.clickhouse
NAMELESS = "SELECT * FROM format('RowBinary', 'x UInt64', 'ab')"
"""It fails with the code of a short file, though no file is involved."""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    port = services.free_port()
    with services.clickhouse_front(tmp_path / "clickhouse", port):
        client = await clickhouse_connect.get_async_client(dsn=services.front_url(port), autogenerate_session_id=False)
        await client.command("CREATE DATABASE d")
        client.database = "d"
        await client.command(
            "CREATE TABLE t (x UInt64) ENGINE = MergeTree ORDER BY x SETTINGS min_bytes_for_wide_part = 0"
        )
        await client.command("SYSTEM STOP MERGES t")
        for first in (0, 100):
            await client.command(f"INSERT INTO t SELECT number + {first} FROM numbers(100)")
        yield client
        await client.close()


async def break_part(client: AsyncClient, name: str) -> None:
    ((path,),) = (await client.query("SELECT path FROM system.parts WHERE name = {n:String}", {"n": name})).result_rows
    for file in list(Path(path).glob("*mrk*")):
        file.write_bytes(b"")
    await client.command("SYSTEM DROP MARK CACHE")


async def fails(client: AsyncClient, sql: str) -> None:
    with pytest.raises(ClickHouseError):
        await client.query(sql)


async def test_an_error_that_names_a_part_leads_to_it(database: AsyncClient) -> None:
    watch = ErrorWatch()
    assert await watch.unreadable(database) == []
    await break_part(database, "all_2_2_0")
    await fails(database, "SELECT sum(x) FROM t")
    assert await watch.unreadable(database) == [("t", "all_2_2_0")]
    await put_aside(database, "t", "all_2_2_0")
    assert (await database.query("SELECT sum(x), count() FROM t")).result_rows == [(4950, 100)]
    assert await watch.unreadable(database) == []


async def test_an_error_that_names_none_leads_to_young_parts(database: AsyncClient) -> None:
    await break_part(database, "all_1_1_0")
    watch = ErrorWatch()
    await fails(database, NAMELESS)
    assert await watch.unreadable(database) == [("t", "all_1_1_0")]


async def test_a_customers_own_error_costs_one_look_in_half_a_minute(database: AsyncClient) -> None:
    watch = ErrorWatch()
    await fails(database, NAMELESS)
    assert await watch.unreadable(database) == []
    await break_part(database, "all_1_1_0")
    await fails(database, NAMELESS)
    assert await watch.unreadable(database) == []  # it looked a moment ago
    await fails(database, "SELECT sum(x) FROM t")
    assert await watch.unreadable(database) == [("t", "all_1_1_0")]
