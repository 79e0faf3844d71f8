"""Heads and bodies without an end, sent to the real edge and the real read API: refused, and not kept in memory."""

import gzip
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.stack import SECRET, LocalStack

pytestmark = pytest.mark.e2e
MB = 1024 * 1024
ROOM = 48 * MB
"""What an attack may leave behind in a process: allocators keep some of what was in use."""

CHUNKED = b"POST /v1/events HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
HEADS = {
    "many headers": (b"GET /v1/x HTTP/1.1\r\nHost: h\r\n", b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"),
    "one header": (b"GET /v1/x HTTP/1.1\r\nHost: h\r\nx: ", b"y" * 1000),
    "a name": (b"GET /v1/x HTTP/1.1\r\nHost: h\r\n", b"y" * 1000),
    "a path": (b"GET /", b"y" * 1000),
    "trailers": (CHUNKED + b"0\r\n", b"x: y\r\n" * 100),
    "a trailer": (CHUNKED + b"0\r\nx: ", b"y" * 1000),
    "a chunk's extension": (
        CHUNKED + b"1;",
        b"y" * 1000,
    ),
}


@pytest.fixture(params=["ingest", "query"])
def door(request: pytest.FixtureRequest, stack: LocalStack) -> tuple[str, int]:
    """A process and the port that it listens on."""
    name: str = request.param
    return name, stack.settings.port if name == "ingest" else stack.settings.query_port


def _flood(port: int, head: bytes, piece: bytes, size: int) -> bytes:
    """Send until the other side closes; its answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        answer = b""
        block, sent = piece * (MB // len(piece)), 0
        try:
            client.sendall(head)
            while sent < size:
                client.sendall(block)
                sent += len(block)
        except OSError:
            pass
        try:
            while part := client.recv(65536):
                answer += part
        except OSError:
            pass
        assert sent < size, "it took everything"
        return answer


@pytest.mark.parametrize(("head", "piece"), HEADS.values(), ids=HEADS)
def test_a_head_without_an_end_is_refused(stack: LocalStack, door: tuple[str, int], head: bytes, piece: bytes) -> None:
    name, port = door
    process = stack.processes()[name]
    before = process.memory_info().rss
    answer = _flood(port, head, piece, 64 * MB)
    # a close with unread bytes may overtake the answer on its way
    assert answer == b"" or answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 40")), answer[:200]
    assert process.memory_info().rss - before < ROOM


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"x: y\r\n" * 101, b"431"),
        (b"x: y\r\n" * 90, b"200"),
        (b"x: " + b"y" * 66_000 + b"\r\n", b"431"),
        (b"x: " + b"y" * 64_000 + b"\r\n", b"200"),
    ],
    ids=["101 headers", "91 headers", "over 64 KiB", "below 64 KiB"],
)
def test_a_head_over_its_bound_is_answered_with_431(door: tuple[str, int], headers: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", door[1]), timeout=20) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: h\r\n" + headers + b"\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/nosuch"), ("POST", "/graphql"), ("POST", "/v1/segments/preview"), ("POST", "/v1/segments/x/explain")],
)
def test_a_body_of_any_size_without_a_key_is_not_kept(stack: LocalStack, method: str, path: str) -> None:
    processes = [stack.processes()[name] for name in ("ingest", "query")]
    before = [process.memory_info().rss for process in processes]
    size = 200 * MB
    head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", stack.settings.port), timeout=20) as client:
        client.sendall(head.encode())
        block = bytes(MB)
        try:
            for _ in range(size // MB):
                client.sendall(block)
        except OSError:
            pass
        try:
            answer = client.recv(65536)
        except OSError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert all(p.memory_info().rss - was < ROOM for p, was in zip(processes, before, strict=True))


async def test_repeats_by_idempotency_key_count_against_the_rate(stack: LocalStack) -> None:
    async with stack.client() as client:
        body = {"name": "tiny", "kind": "public", "rate_limit": 2}
        key = (await client.post("/v1/keys", json=body)).json()["key"]
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "again"}
        event = {"type": "t", "user_id": "u"}
        codes = [(await client.post("/v1/events", json=event, headers=headers)).status_code for _ in range(20)]
        assert 202 in codes
        assert codes.count(429) > 10, codes
        packed = gzip.compress(b'{"type":"t","user_id":"u"}')
        many = {**SECRET, "Content-Encoding": "gzip", "Content-Type": "application/json"}
        assert (await client.post("/v1/events", content=packed + b"{}", headers=many)).status_code == 400


@pytest.fixture
def slow(stack: LocalStack) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", stack.settings.port), timeout=40) as client:
        yield client


def test_a_head_that_does_not_come_is_given_up(slow: socket.socket) -> None:
    start = time.monotonic()
    slow.sendall(b"GET /health/live HTTP/1.1\r\nHost:")
    assert slow.recv(65536).startswith(b"HTTP/1.1 408")
    assert 5 < time.monotonic() - start < 40


def test_a_flood_of_bodies_without_a_key_costs_its_share_and_holds_up_no_workspace(stack: LocalStack) -> None:
    process, port, size = stack.processes()["ingest"], stack.settings.port, 5 * MB - 1000
    before = process.memory_info().rss
    head = f"POST /capture/ HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    with ExitStack() as held:
        answers = []
        for _ in range(60):
            client = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            try:
                client.sendall(head.encode() + b"x" * (size - 1))
                client.settimeout(0.05)
                answers.append(client.recv(65536))
            except OSError:
                answers.append(b"")
        refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503")]
        assert len(refused) > 30, answers
        assert b"retry-after: 1" in refused[0].lower()
        assert process.memory_info().rss - before < 32 * MB + ROOM
        text = b'{"type":"t","user_id":"u","properties":{"text":"' + b"x" * 200_000 + b'"}}'
        mine = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        mine.sendall(
            b"POST /v1/events HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer sk_dev_local\r\nContent-Length: %d\r\n\r\n" % len(text)
        )
        for start in range(0, len(text), 20_000):
            mine.sendall(text[start : start + 20_000])
        assert mine.recv(65536).startswith(b"HTTP/1.1 202")
