"""What plain HTTP clients such as curl may send to the embedded ClickHouse and get from it; what a kill leaves."""

import bz2
import gzip
import json
import lzma
import os
import signal
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import httpx
import lz4.frame
import pytest
import zstandard

from deploy.local.clickhouse.codes import ClickHouseError
from deploy.local.clickhouse.encoding import choose
from deploy.local.clickhouse.sql import parse
from tests.contract.clickhouse_front import ONE_AND_TWO, ask, http
from tests.support import services

pytestmark = pytest.mark.clickhouse


def test_a_curl_get(front: httpx.Client) -> None:
    answer = front.get("/?query=SELECT+1")
    assert (answer.status_code, answer.text) == (200, "1\n")
    assert answer.headers["X-ClickHouse-Format"] == "TabSeparated"
    assert answer.headers["X-ClickHouse-Timezone"] == "UTC"
    assert answer.headers["Content-Type"].startswith("text/tab-separated-values")
    assert answer.headers["X-ClickHouse-Query-Id"]
    summary = json.loads(answer.headers["X-ClickHouse-Summary"])
    assert all(isinstance(value, str) for value in summary.values())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1;",
        "SELECT 1 ; \n",
        "-- why; not\nSELECT 1",
        "/* a; b */ SELECT 1 -- c",
        "SELECT\n 1\n",
        "SELECT 1 FORMAT TabSeparated",
        "SELECT 1 FORMAT TSV;",
        "WITH 1 AS one SELECT one",
        "SELECT 1 SETTINGS max_threads = 1",
        "SELECT length(';') FORMAT CSV",
    ],
)
def test_ways_to_write_a_query(front: httpx.Client, sql: str) -> None:
    assert front.post("/", content=sql).text == "1\n"
    assert front.get("/", params={"query": sql}).text == "1\n"


@pytest.mark.parametrize("path", ["/ping", "/replicas_status", "/"])
def test_signs_of_life(front: httpx.Client, path: str) -> None:
    assert front.get(path).text == "Ok.\n"


def test_formats(front: httpx.Client) -> None:
    sql = {"query": "SELECT 1 AS a"}
    assert front.get("/", params=sql | {"default_format": "JSONEachRow"}).json() == {"a": 1}
    assert front.get("/", params=sql, headers={"X-ClickHouse-Format": "CSV"}).text == "1\n"
    own = front.get("/", params={"query": "SELECT 1 AS a FORMAT JSON", "default_format": "CSV"})
    assert own.json()["data"] == [{"a": 1}]
    assert own.headers["X-ClickHouse-Format"] == "JSON"
    assert own.headers["Content-Type"].startswith("application/json")


def test_database_and_parameters(table: httpx.Client) -> None:
    table.post("/?database=x", content="INSERT INTO t (a) VALUES (7)").raise_for_status()
    sql = {"query": "SELECT a, {p:String} FROM t WHERE a = {n:UInt64}", "param_n": "7", "param_p": "t\\tab's"}
    assert table.get("/", params=sql | {"database": "x"}).text == "7\tt\\tab\\'s\n"
    assert table.get("/", params=sql, headers={"X-ClickHouse-Database": "x"}).status_code == 200
    assert table.get("/", params=sql).status_code == 404


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", b"INSERT INTO x.t (a) VALUES (1), (2);"),
        ("", b"INSERT INTO x.t (a)\nVALUES\n (1),\n (1 + 1)\n"),
        ("", b'insert into x.t (a) format JSONEachRow\n{"a": 1}\n{"a": 2}\n'),
        ("", b'INSERT INTO x.t (a) FORMAT JSONEachRow {"a": 1} {"a": 2}'),
        ("", b"/* FORMAT */ INSERT INTO x.t (a) -- FORMAT CSV\n FORMAT CSV\n1\n2\n"),
        ("", b"INSERT INTO x.t (a) SETTINGS max_insert_threads = 1 FORMAT RowBinary\n" + ONE_AND_TWO),
        ("", b"INSERT INTO x.t (a) SELECT number + 1 FROM numbers(2)"),
        ("", b"INSERT INTO x.t (a) WITH 2 AS n SELECT number + 1 FROM numbers(n)"),
        ("INSERT INTO x.t (a) VALUES", b"(1), (2)"),
        ("INSERT INTO x.t (a) FORMAT CSV", b"1\n2\n"),
        ("INSERT INTO x.t (a) FORMAT RowBinary", ONE_AND_TWO),
        ("INSERT INTO x.t FORMAT TabSeparated", b"1\t\\t\n2\t \n"),
    ],
)  # fmt: skip
def test_ways_to_insert(table: httpx.Client, query: str, body: bytes) -> None:
    answer = table.post("/", params={"query": query} if query else {}, content=body)
    assert answer.status_code == 200, answer.text
    assert answer.text == ""
    assert ask(table) == "2\t3\n"


def test_the_summary_counts_what_was_written(table: httpx.Client) -> None:
    answer = table.post("/", content=b"INSERT INTO x.t (a) FORMAT CSV\n1\n2\n")
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "2"


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lambda data: lz4.frame.compress(data[:9]) + lz4.frame.compress(data[9:]),
    "zstd": lambda data: zstandard.compress(data[:9]) + zstandard.compress(data[9:]),
    "gzip": lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:]),
    "br": brotli.compress,
    "deflate": zlib.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "identity": lambda data: data,
}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_encoded_inserts(table: httpx.Client, encoding: str) -> None:
    body = ENCODERS[encoding](b"INSERT INTO x.t (a) FORMAT CSV\n1\n2\n")
    answer = table.post("/", content=body, headers={"Content-Encoding": encoding})
    assert answer.status_code == 200, answer.text
    assert ask(table) == "2\t3\n"


@pytest.mark.parametrize("encoding", ["lz4", "gzip", "nonsense"])
def test_a_body_that_is_not_what_it_says(table: httpx.Client, encoding: str) -> None:
    answer = table.post("/", content=b"INSERT INTO", headers={"Content-Encoding": encoding})
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (400, "117")


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip", "br", "deflate"])
def test_encoded_answers(front: httpx.Client, encoding: str) -> None:
    sql = {"query": "SELECT number FROM numbers(1000)"}
    plain = front.get("/", params=sql, headers={"Accept-Encoding": encoding})
    assert "Content-Encoding" not in plain.headers  # only those who enable it
    compressed = sql | {"enable_http_compression": "1"}
    with front.stream("GET", "/", params=compressed, headers={"Accept-Encoding": encoding}) as answer:
        assert answer.headers["Content-Encoding"] == encoding
        raw = b"".join(answer.iter_raw())
    decoders = {
        "lz4": lz4.frame.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().stream_reader(data).read(),
        "gzip": gzip.decompress,
        "br": brotli.decompress,
        "deflate": zlib.decompress,
    }
    assert decoders[encoding](raw) == plain.content


def test_the_choice_of_an_encoding() -> None:
    assert choose("gzip, br;q=0.5, lz4;q=0") == "gzip"
    assert choose("identity, *") == ""


@pytest.mark.parametrize(
    ("sql", "status", "code", "name"),
    [
        ("SELECT * FROM x.missing", 404, "60", "UNKNOWN_TABLE"),
        ("SELECT * FROM missing.t", 404, "81", "UNKNOWN_DATABASE"),
        ("SELECT nothing", 404, "47", "UNKNOWN_IDENTIFIER"),
        ("SELEC 1", 400, "62", "SYNTAX_ERROR"),
        ("", 400, "62", "SYNTAX_ERROR"),
        ("1", 400, "62", "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 400, "62", "SYNTAX_ERROR"),
        ("SELECT 1 FORMAT Nothing", 404, "73", "UNKNOWN_FORMAT"),
        ("SELECT 1 INTO OUTFILE '/tmp/never'", 500, "358", "INTO_OUTFILE_NOT_ALLOWED"),
        ("INSERT INTO x.t FROM INFILE '/etc/hostname' FORMAT CSV", 404, "78", "UNKNOWN_TYPE_OF_QUERY"),
        ("CREATE TEMPORARY TABLE u (a UInt8)", 501, "48", "NOT_IMPLEMENTED"),
        ("SELECT throwIf(1)", 500, "395", "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ('INSERT INTO x.t (a) FORMAT JSONEachRow {"a": oops}', 400, "27", "CANNOT_PARSE_INPUT_ASSERTION_FAILED"),
    ],
)  # fmt: skip
def test_errors(table: httpx.Client, sql: str, status: int, code: str, name: str) -> None:
    answer = table.post("/", content=sql)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert f"({name})" in answer.text
    assert ask(table) == "0\t0\n"


def test_settings_are_checked_and_do_not_leak(front: httpx.Client) -> None:
    unknown = front.get("/", params={"query": "SELECT 1", "no_such_setting": "1"})
    assert (unknown.status_code, unknown.headers["X-ClickHouse-Exception-Code"]) == (404, "115")
    hostile = front.get("/", params={"query": "SELECT 1", "max_threads=1, readonly": "0"})
    assert (hostile.status_code, hostile.headers["X-ClickHouse-Exception-Code"]) == (404, "115")
    sql = {"query": "SELECT getSetting('max_threads')"}
    before = front.get("/", params=sql).text
    assert front.get("/", params=sql | {"max_threads": "13"}).text == "13\n"
    assert front.get("/", params=sql).text == before != "13\n"


def test_a_get_only_reads(table: httpx.Client) -> None:
    for extra in ({}, {"readonly": "0"}):
        answer = table.get("/", params={"query": "INSERT INTO x.t (a) VALUES (1)"} | extra)
        assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "497")
    assert ask(table) == "0\t0\n"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "rebound.example.org"},
    ],
)
def test_other_sites_are_refused(table: httpx.Client, headers: dict[str, str]) -> None:
    answer = table.post("/", content="INSERT INTO x.t (a) VALUES (1)", headers=headers)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "497")
    assert ask(table) == "0\t0\n"


def test_data_of_an_insert_is_not_read_as_sql() -> None:
    statement = parse(b"INSERT INTO t (`format`) FORMAT CSV \n'it''s; SELECT 1 FORMAT JSON")
    assert statement.sql.split() == [b"INSERT", b"INTO", b"t", b"(`format`)"]
    assert bytes(statement.data or b"") == b"'it''s; SELECT 1 FORMAT JSON"
    assert parse(b"SELECT $a$; FORMAT CSV$a$, (SELECT 1 FORMAT XML) FORMAT JSON").format == "JSON"
    with pytest.raises(ClickHouseError):
        parse(b"-- nothing\n")


def test_a_kill_loses_no_acknowledged_insert(tmp_path: Path) -> None:
    port, acknowledged = services.free_port(), 0
    with services.clickhouse_front(tmp_path / "data", port) as process, http(port) as client:
        client.post("/", content="CREATE DATABASE x").raise_for_status()
        client.post("/", content="CREATE TABLE x.t (a UInt64) ENGINE = MergeTree ORDER BY a").raise_for_status()
        for n in range(100):
            client.post("/", content=f"INSERT INTO x.t VALUES ({n})").raise_for_status()
            acknowledged += 1
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with services.clickhouse_front(tmp_path / "data", port), http(port) as client:
        assert ask(client) == f"{acknowledged}\t{sum(range(acknowledged))}\n"


def test_a_stop_closes_the_engine(tmp_path: Path) -> None:
    port = services.free_port()
    with services.clickhouse_front(tmp_path / "data", port) as process, http(port) as client:
        client.post("/", content="CREATE DATABASE x").raise_for_status()
        process.terminate()
        assert process.wait(10) in {0, -signal.SIGTERM}
    with services.clickhouse_front(tmp_path / "data", port), http(port) as client:
        assert "x\n" in ask(client, "SHOW DATABASES")
