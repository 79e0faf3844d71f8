"""What plain HTTP clients such as curl may send to the embedded ClickHouse and get from it; what a kill leaves."""

import bz2
import gzip
import json
import lzma
import os
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import brotli
import httpx
import lz4.frame
import pytest
import zstandard

from deploy.local.clickhouse.codes import ClickHouseError
from deploy.local.clickhouse.encoding import choose
from deploy.local.clickhouse.password import password_of
from deploy.local.clickhouse.sources import check_sources
from deploy.local.clickhouse.sql import parse
from tests.support import services

pytestmark = pytest.mark.clickhouse

ONE_AND_TWO = bytes([1, *[0] * 7, 2, *[0] * 7])
COUNT = "SELECT count(), sum(a) FROM x.t"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Always the embedded one, whatever the other tests talk to."""
    port = services.free_port()
    with services.clickhouse_front(tmp_path_factory.mktemp("front") / "data", port), http(port) as client:
        client.post("/", content="CREATE DATABASE x").raise_for_status()
        yield client


def http(port: int) -> httpx.Client:
    return httpx.Client(base_url=services.front_url(port), headers={"Accept-Encoding": "identity"}, timeout=30)


@pytest.fixture
def table(front: httpx.Client) -> httpx.Client:
    sql = "CREATE OR REPLACE TABLE x.t (a UInt64, b String DEFAULT 'd') ENGINE = MergeTree ORDER BY a"
    front.post("/", content=sql).raise_for_status()
    return front


def ask(client: httpx.Client, sql: str = COUNT) -> str:
    answer = client.post("/", content=sql)
    assert answer.status_code == 200, answer.text
    return answer.text


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
    asked = sql | {"enable_http_compression": "1"}
    with front.stream("GET", "/", params=asked, headers={"Accept-Encoding": encoding}) as answer:
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


@pytest.fixture
def reader(front: httpx.Client) -> Iterator[httpx.Client]:
    """A local user who does not have the stack's password."""
    url = front.base_url.copy_with(userinfo=b"")
    with httpx.Client(base_url=url, headers={"X-ClickHouse-User": "anna"}, timeout=30) as client:
        yield client


FILES = [
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM FILE ('/etc/passwd', 'LineAsString')",
    "SELECT * FROM `file`('/etc/passwd', 'LineAsString')",
    "SELECT * FROM \"file\"/**/('/etc/passwd', LineAsString)",
    "SELECT file('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM `/etc/passwd`",
    "SELECT * FROM default.`/etc/passwd`",
    "DESCRIBE TABLE `/etc/passwd`",
    "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM s3('http://127.0.0.1:9/x', 'LineAsString')",
    "SELECT * FROM executable('id', 'LineAsString', 'a String')",
    "SELECT * FROM sqlite('/tmp/x.db', 't')",
    "SELECT * FROM python('x')",
    "WITH t AS (SELECT * FROM file('/etc/passwd', 'LineAsString')) SELECT * FROM t",
    "SELECT (SELECT groupArray(line) FROM file('/etc/passwd', 'LineAsString'))",
    "SELECT 1 INTO OUTFILE '/tmp/by-select.txt'",
]
WRITES = [
    "INSERT INTO FUNCTION file('/tmp/by-insert.txt', 'LineAsString') SELECT 'x'",
    "CREATE TABLE x.f (a String) ENGINE = File('TSV', '/etc/passwd')",
    "CREATE TABLE x.u (a String) ENGINE URL('http://127.0.0.1:9/', 'TSV')",
    "CREATE VIEW x.v AS SELECT * FROM file('/etc/passwd', 'LineAsString')",
]


@pytest.mark.parametrize("sql", FILES)
def test_no_query_reaches_files_or_hosts(front: httpx.Client, reader: httpx.Client, sql: str) -> None:
    answers = [reader.get("/", params={"query": sql}), reader.post("/", content=sql), front.post("/", content=sql)]
    for answer in answers:
        assert answer.status_code != 200, answer.text
        assert "root:" not in answer.text


@pytest.mark.parametrize("sql", WRITES)
def test_no_write_reaches_files_or_hosts(front: httpx.Client, sql: str) -> None:
    answer = front.post("/", content=sql)
    assert answer.headers["X-ClickHouse-Exception-Code"] == "497", answer.text


def test_a_parameter_is_no_file(reader: httpx.Client) -> None:
    sql = "SELECT * FROM {t:Identifier}"
    answer = reader.post("/", params={"param_t": "/etc/passwd"}, content=sql)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (404, "60"), answer.text


@pytest.mark.parametrize("how", ["get", "post"])
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE x.new (a UInt8) ENGINE = Memory",
        "INSERT INTO x.t (a) VALUES (1)",
        "DROP TABLE x.t",
        "ALTER TABLE x.t DELETE WHERE 1",
        "SYSTEM STOP MERGES",
        "KILL QUERY WHERE 1",
        "OPTIMIZE TABLE x.t",
        "SET readonly = 0",
        "TRUNCATE TABLE x.t",
        "EXPLAIN SELECT 1 SETTINGS readonly = 0",
    ],
)
def test_writing_takes_the_password(table: httpx.Client, reader: httpx.Client, how: str, sql: str) -> None:
    table.post("/", content="INSERT INTO x.t (a) VALUES (7)").raise_for_status()
    for settings in ({}, {"readonly": "0"}, {"password": "guessed"}, {"user": "headwater"}):
        answer = (
            reader.get("/", params={**settings, "query": sql})
            if how == "get"
            else reader.post("/", params=settings, content=sql)
        )
        assert answer.headers["X-ClickHouse-Exception-Code"] in {"497", "164"}, answer.text
    assert ask(table) == "1\t7\n"


def test_reading_takes_no_password(table: httpx.Client, reader: httpx.Client) -> None:
    table.post("/", content="INSERT INTO x.t (a) VALUES (7)").raise_for_status()
    reads = [
        "SELECT a FROM x.t",
        "WITH 1 AS n SELECT a FROM x.t WHERE n",
        "SELECT count() FROM numbers(3)",
        "SHOW DATABASES",
        "SELECT name FROM system.tables WHERE engine LIKE '%MergeTree' AND engine != 'Log' ORDER BY engine DESC",
        "SELECT engine, count() FROM system.tables WHERE engine = 'File' GROUP BY ALL",
    ]
    for sql in [*reads, "EXISTS x.t", "DESCRIBE x.t", "EXPLAIN SELECT 1", "-- a note\nSELECT 'file(' FROM x.t"]:
        assert reader.post("/", content=sql).status_code == 200, sql
        assert reader.get("/", params={"query": sql}).status_code == 200, sql


def test_the_password_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    first = password_of(tmp_path / "clickhouse")
    assert first == password_of(tmp_path / "clickhouse")
    assert len(first) > 30
    assert (tmp_path / "clickhouse.password").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("unit", [b"'\\'", b"/*", b"$a$", b'"\\"', b"`\\`", b"(", b"ENGINE "])
def test_a_text_is_cut_up_in_linear_time(unit: bytes) -> None:
    def cost(size: int) -> float:
        start = time.process_time()
        with suppress(ClickHouseError):
            parse(b"SELECT " + unit * (size // len(unit)))
        with suppress(ClickHouseError):
            check_sources(b"CREATE " + unit * (size // len(unit)), ())
        return time.process_time() - start

    small, large = cost(100_000), cost(200_000)
    assert large < 3 * small + 0.1
