"""Who may read and write the embedded ClickHouse, and that no query reaches files or other hosts."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from deploy.local.clickhouse.codes import ClickHouseError
from deploy.local.clickhouse.password import password_of
from deploy.local.clickhouse.sources import check_sources
from deploy.local.clickhouse.sql import parse
from tests.contract.clickhouse_front import ask

pytestmark = pytest.mark.clickhouse


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
    "BACKUP TABLE x.t TO File('/tmp/by-backup')",
    "RESTORE TABLE x.t FROM File('/tmp/by-backup')",
    "INSERT INTO FUNCTION s3('http://127.0.0.1:9/x', 'TSV') SELECT 1",
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
        "BACKUP TABLE x.t TO S3('http://127.0.0.1:9/backups/x')",
        "RESTORE TABLE x.t FROM S3('http://127.0.0.1:9/backups/x')",
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
