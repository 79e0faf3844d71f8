"""What clickhouse-connect, with its defaults, needs of a ClickHouse over HTTP: met by any, the embedded one too."""

import asyncio
import datetime as dt
import decimal
import ipaddress
import threading
import uuid
from collections.abc import AsyncIterator, Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from schemas.settings import Settings

pytestmark = pytest.mark.clickhouse

UTC = dt.UTC
VALUES = [
    ("Bool", True),
    ("Int64", -(2**63)),
    ("UInt64", 2**64 - 1),
    ("Float64", 1.5),
    ("Decimal(18, 4)", decimal.Decimal("12345.6789")),
    ("String", "naïve\t'quoted'\n\\ \x00 €"),
    ("FixedString(3)", b"abc"),
    ("LowCardinality(String)", "channel"),
    ("LowCardinality(Nullable(String))", None),
    ("Nullable(Float64)", None),
    ("UUID", uuid.UUID("43649dca-5748-4c65-b605-89f3aabe5307")),
    ("Date", dt.date(2026, 3, 1)),
    ("DateTime('UTC')", dt.datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)),
    ("DateTime64(3, 'UTC')", dt.datetime(2026, 3, 1, 12, 30, 5, 678_000, tzinfo=UTC)),
    ("Enum8('a' = 1, 'b' = 2)", "b"),
    ("IPv4", ipaddress.IPv4Address("192.0.2.1")),
    ("IPv6", ipaddress.IPv6Address("2001:db8::1")),
    ("Array(String)", ["x", "", "y"]),
    ("Array(Nullable(Int32))", [1, None]),
    ("Map(String, String)", {"k": "v"}),
    ("Tuple(Int8, String)", (1, "z")),
    ("JSON", {"a": 1, "b": {"c": "x"}}),
]


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_connect.get_client(dsn=settings.clickhouse) as made:
        made.command(f"CREATE DATABASE {settings.clickhouse_database}")
        made.database = settings.clickhouse_database
        yield made
        made.command(f"DROP DATABASE {settings.clickhouse_database}")


@pytest.fixture
async def async_client(client: Client, settings: Settings) -> AsyncIterator[AsyncClient]:
    async with await clickhouse_connect.get_async_client(dsn=settings.clickhouse, database=client.database) as made:
        yield made


def utc(value: object) -> object:
    # clickhouse-connect answers times of UTC columns without a zone
    return value.replace(tzinfo=UTC) if isinstance(value, dt.datetime) else value


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=[kind for kind, _ in VALUES])
def test_a_value_comes_back_as_it_went_in(client: Client, kind: str, value: object) -> None:
    client.command(f"CREATE TABLE t (n UInt8, v {kind}) ENGINE = MergeTree ORDER BY n")
    client.insert("t", [[1, value], [2, value]], column_names=["n", "v"])
    assert [utc(v) for (v,) in client.query("SELECT v FROM t ORDER BY n").result_rows] == [value, value]


async def test_the_async_client_inserts_and_reads(async_client: AsyncClient) -> None:
    columns = ", ".join(f"c{n} {kind}" for n, (kind, _) in enumerate(VALUES))
    await async_client.command(f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY tuple()")
    row = [value for _, value in VALUES]
    summary = await async_client.insert("t", [row, row, row])
    assert summary.written_rows == 3
    result = await async_client.query("SELECT * FROM t LIMIT 1")
    assert [utc(value) for value in result.result_rows[0]] == row


async def test_one_insert_context_serves_many_blocks(async_client: AsyncClient) -> None:
    await async_client.command("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    context = await async_client.create_insert_context("t", column_names=["a", "b"])
    for block in range(5):
        context.data = [[block * 100 + n, "x" * n] for n in range(100)]
        await async_client.insert(context=context)
    assert (await async_client.query("SELECT count(), max(a) FROM t")).result_rows == [(500, 499)]


# A block of the client holds about 20,000 rows; with br it writes one brotli stream for each, which nobody reads.
@pytest.mark.parametrize(
    ("compress", "count"), [("lz4", 50_000), ("zstd", 50_000), ("gzip", 50_000), (False, 50_000), ("br", 500)]
)
def test_each_compression_of_the_client(client: Client, settings: Settings, compress: str | bool, count: int) -> None:
    client.command("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    with clickhouse_connect.get_client(dsn=settings.clickhouse, database=client.database, compress=compress) as other:
        rows = [[n, "text " * 20] for n in range(count)]
        other.insert("t", rows, column_names=["a", "b"])
        assert [list(row) for row in other.query("SELECT a, b FROM t ORDER BY a").result_rows] == rows


def test_parameters_are_bound_by_the_server(client: Client) -> None:
    value = "it's\ta \\ \n{x:String} '' \\N"
    sql = "SELECT {s:String}, {a:Array(String)}, {n:Nullable(String)}, {d:DateTime64(3, 'UTC')}, {i:Int64}"
    moment = dt.datetime(2026, 3, 1, 12, 30, 5, 678_000, tzinfo=UTC)
    given = {"s": value, "a": ["o'a", "b\\"], "n": None, "d": moment, "i": -5}
    row = client.query(sql, parameters=given).result_rows[0]
    assert [utc(v) for v in row] == [value, ["o'a", "b\\"], None, moment, -5]


def test_parameters_too_long_for_a_url_are_bound_too(client: Client) -> None:
    many = [f"o'k\t\\ \r\n€ {n:030}" for n in range(20_000)]
    sql = "SELECT length({a:Array(String)}), {a:Array(String)}[-1]"
    assert client.query(sql, parameters={"a": many}).result_rows == [(20_000, many[-1])]


def test_parameters_name_tables_and_fill_inserts(client: Client) -> None:
    client.command("CREATE TABLE {t:Identifier} (v String) ENGINE = Memory", parameters={"t": "named"})
    client.command("INSERT INTO named VALUES ({v:String})", parameters={"v": "it's"})
    client.command("INSERT INTO named SELECT {v:String}", parameters={"v": "b"})
    assert client.query("SELECT v FROM named ORDER BY v").result_rows == [("b",), ("it's",)]


def test_settings_hold_for_one_query(client: Client) -> None:
    ask = "SELECT getSetting('max_block_size'), getSetting('join_use_nulls')"
    before = client.query(ask).result_rows
    assert client.query(ask, settings={"max_block_size": 4321, "join_use_nulls": 1}).result_rows == [(4321, True)]
    assert client.query(ask).result_rows == before != [(4321, True)]


def test_a_join_setting_changes_the_answer(client: Client) -> None:
    sql = "SELECT r.v FROM (SELECT 1 AS k) AS l LEFT JOIN (SELECT 2 AS k, 'x' AS v) AS r USING (k)"
    assert client.query(sql).result_rows == [("",)]
    assert client.query(sql, settings={"join_use_nulls": 1}).result_rows == [(None,)]


def test_a_token_is_inserted_once(client: Client) -> None:
    client.command(
        "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )
    for token, value in (("events:0:0-9", 1), ("events:0:0-9", 2), ("events:0:10-19", 3)):
        client.insert("t", [[value]], settings={"insert_deduplication_token": token})
    assert client.query("SELECT a FROM t ORDER BY a").result_rows == [(1,), (3,)]


def test_async_inserts_are_accepted(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    client.insert("t", [[1]], settings={"async_insert": 1, "wait_for_async_insert": 1})
    assert client.query("SELECT count() FROM t").result_rows == [(1,)]


@pytest.mark.parametrize(
    ("sql", "settings_", "code"),
    [
        ("SELECT * FROM missing", {}, 60),
        ("SELECT 1 FROM missing.t", {}, 81),
        ("SELECT nothing", {}, 47),
        ("SELECT nofunction(1)", {}, 46),
        ("SELEC 1", {}, 62),
        ("SELECT sleepEachRow(1) FROM numbers(3)", {"max_execution_time": 1}, 159),
        ("CREATE TABLE u (a UInt8) ENGINE = Memory", {"readonly": 1}, 164),
        ("SELECT throwIf(1)", {}, 395),
    ],
)
def test_errors_carry_their_code(client: Client, sql: str, settings_: dict[str, int], code: int) -> None:
    with pytest.raises(DatabaseError, match=f"Code: {code}") as raised:
        client.query(sql, settings=settings_)
    assert raised.value.code == code
    assert client.query("SELECT 1").result_rows == [(1,)]


def test_a_failed_insert_leaves_nothing(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(DatabaseError):
        client.raw_insert("t", ["a"], "1\n2\nthree\n", fmt="CSV")
    assert client.query("SELECT count() FROM t").result_rows == [(0,)]


async def test_queries_of_one_client_run_at_once(async_client: AsyncClient) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(async_client.query("SELECT sleep(1)") for _ in range(8)))
    assert loop.time() - began < 4  # one after the other: 8 s


def test_eight_clients_write_and_read_at_once(client: Client, settings: Settings) -> None:
    client.command("CREATE TABLE t (w UInt8, n UInt64) ENGINE = MergeTree ORDER BY (w, n)")
    wrong: list[object] = []

    def work(worker: int) -> None:
        with clickhouse_connect.get_client(dsn=settings.clickhouse, database=client.database) as own:
            for n in range(20):
                own.insert("t", [[worker, n]], settings={"max_insert_threads": worker % 3 + 1})
                seen = own.query(
                    "SELECT count(), getSetting('max_block_size') FROM t WHERE w = {w:UInt8}",
                    parameters={"w": worker},
                    settings={"max_block_size": 1000 + worker},
                ).result_rows
                if seen != [(n + 1, 1000 + worker)]:
                    wrong.append((worker, n, seen))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert client.query("SELECT count() FROM t").result_rows == [(160,)]


async def test_a_large_answer_streams_into_the_client(async_client: AsyncClient) -> None:
    rows = 0
    async with await async_client.query_row_block_stream("SELECT number, toString(number) FROM numbers(300000)") as s:
        async for block in s:
            rows += len(block)
    assert rows == 300_000
