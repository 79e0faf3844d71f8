"""What native clients send over HTTP: frames both ways, Native of a protocol version, and bodies that are too large."""

import gzip
import lzma
import socket
import tracemalloc
from collections.abc import Callable, Iterator

import brotli
import httpx
import lz4.frame
import pytest
import zstandard

from deploy.local.clickhouse import native_frames
from deploy.local.clickhouse.encoding import TooLargeError, decode
from deploy.local.clickhouse.server import MAX_INSERT, MAX_QUERY
from tests.support import services

pytestmark = pytest.mark.clickhouse
INFO = bytes.fromhex("010002ffffffff00")
GO = {"client_protocol_version": "54460", "default_format": "Native"}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    port = services.free_port()
    with (
        services.clickhouse_front(tmp_path_factory.mktemp("front") / "data", port),
        httpx.Client(base_url=services.front_url(port), headers={"Accept-Encoding": "identity"}, timeout=30) as client,
    ):
        client.post("/", content="CREATE TABLE t (a UInt64, j JSON) ENGINE = MergeTree ORDER BY a").raise_for_status()
        yield client


def native(client: httpx.Client, sql: str, **more: str) -> bytes:
    answer = client.post("/", params={**GO, **more}, content=sql)
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize(("method", "byte"), [("LZ4", 0x82), ("NONE", 0x02), ("zstd", 0x90), ("", 0x82)])
def test_an_answer_in_frames(front: httpx.Client, method: str, byte: int) -> None:
    query = {"compress": "1"} | ({"network_compression_method": method} if method else {})
    answer = front.post("/", params=query, content="SELECT number FROM numbers(300000)")
    assert answer.status_code == 200, answer.text
    assert answer.content[16] == byte
    plain = native_frames.unpack(answer.content, 10 << 20)
    assert plain == b"".join(b"%d\n" % n for n in range(300_000))


def test_a_refusal_comes_in_frames_to_those_who_asked_for_them(front: httpx.Client) -> None:
    answer = front.post("/", params={"compress": "1"}, content="SELECT missing")
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (404, "47")
    assert b"missing" in native_frames.unpack(answer.content, 10_000)


def test_inserts_in_frames(front: httpx.Client) -> None:
    front.post("/", content="TRUNCATE TABLE t").raise_for_status()
    rows = native_frames.pack(b"1\t{}\n") + native_frames.pack(b"2\t{}\n", native_frames.ZSTD)
    query = {"query": "INSERT INTO t FORMAT TSV", "decompress": "1"}
    assert front.post("/", params=query, content=rows).status_code == 200
    whole = native_frames.pack(b"INSERT INTO t FORMAT TSV\n3\t{}\n")
    assert front.post("/", params={"decompress": "1"}, content=whole).status_code == 200
    assert front.post("/", content="SELECT sum(a) FROM t").text == "6\n"
    broken = bytearray(rows)
    broken[3] ^= 1
    answer = front.post("/", params=query, content=bytes(broken))
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (400, "117")
    assert "checksum" in answer.text
    assert front.post("/", content="SELECT sum(a) FROM t").text == "6\n"


def test_native_of_a_protocol_version(front: httpx.Client) -> None:
    assert native(front, "SELECT 1 AS check") == INFO + b"\x01\x01\x05check\x05UInt8\x00\x01"
    assert native(front, "SELECT 1 AS check", client_protocol_version="0") == b"\x01\x01\x05check\x05UInt8\x01"
    zone = native(front, "SELECT toDateTime({at:UInt32}, 'Europe/Berlin') AS d FORMAT Native", param_at="5")
    assert zone == INFO + b"\x01\x01\x01d\x19DateTime('Europe/Berlin')\x00\x05\x00\x00\x00"
    assert native(front, "SELECT 1 WHERE 0") == b""
    tsv = front.post("/", params={**GO, "default_format": "TSV"}, content="SELECT 1")
    assert tsv.text == "1\n"


def test_any_type_and_any_number_of_blocks_has_its_version(front: httpx.Client) -> None:
    """The same rows as columns that are measured, and as columns that the engine is asked for one by one."""
    many = "FROM numbers(150000)"
    plain = native(front, f"SELECT number AS n, toString(number) AS s {many}")
    assert plain.count(INFO) == 3
    exotic = native(front, f"SELECT number AS n, ('{{\"a\":' || toString(number) || '}}')::JSON AS j {many}")
    assert exotic.count(INFO) == 3
    assert exotic[: len(INFO) + 16] == plain[: len(INFO) + 16], "as the first column is the same"
    states = native(front, "SELECT uniqState(number) AS u FROM numbers(10)")
    assert states.startswith(INFO + b"\x01\x01\x01u")
    twice = front.post("/", params=GO, content="SELECT '{}'::JSON AS j, '{}'::JSON AS j")
    assert (twice.status_code, twice.headers["X-ClickHouse-Exception-Code"]) == (501, "48")
    assert "name each one" in twice.text


BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("encoding", BOMBS)
def test_a_small_body_that_stands_for_a_large_one_is_refused(front: httpx.Client, encoding: str) -> None:
    bomb = BOMBS[encoding](bytes(MAX_QUERY + 1))
    assert len(bomb) < MAX_QUERY // 10
    reader = httpx.Client(base_url=str(front.base_url).replace("headwater:", "x:").replace(services.FRONT_PASSWORD, ""))
    with reader:
        answer = reader.post("/", content=bomb, headers={"Content-Encoding": encoding})
    assert answer.status_code == 413
    assert f"at most {MAX_QUERY} bytes" in answer.text
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        decode(bomb, encoding, 1000)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_a_body_that_is_too_large_is_refused_before_it_is_read(front: httpx.Client) -> None:
    def chunks(size: int) -> Iterator[bytes]:
        for _ in range(size >> 20):
            yield bytes(1 << 20)

    for body in (bytes(MAX_QUERY + 1), chunks(MAX_QUERY + (4 << 20))):
        with httpx.Client(base_url=f"http://{front.base_url.host}:{front.base_url.port}", timeout=30) as reader:
            answer = reader.post("/", content=body)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
        assert f"at most {MAX_QUERY} bytes" in answer.text
    with socket.create_connection((front.base_url.host, front.base_url.port), 10) as raw:
        key = b"X-ClickHouse-Key: " + services.FRONT_PASSWORD.encode()
        raw.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n%b\r\nContent-Length: %d\r\n\r\n" % (key, MAX_INSERT + 1))
        assert raw.recv(1000).startswith(b"HTTP/1.1 413"), "its size is known before its first byte"
    assert front.get("/ping").text == "Ok.\n"
