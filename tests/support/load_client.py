"""Prepared requests in; answers and their times out: keep-alive connections that cost next to no CPU."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import orjson

KEY = "sk_dev_local"


def request(path: str, value: object, *, key: str = KEY, content_type: str = "application/json") -> bytes:
    """Encodes a POST for the wire; sends bytes unchanged and other values as JSON."""
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """Sends one request at a time over one connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, port: int) -> Self:
        _, protocol = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream connection's transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lower = self._buffer[:head].lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 : (lower + b"\r\n").find(b"\r\n", at)])
        if len(self._buffer) < head + 4 + length:
            return
        status, body = int(self._buffer[9:12]), self._buffer[head + 4 : head + 4 + length]
        self._buffer = self._buffer[head + 4 + length :]
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the server closed the connection"))

    async def send(self, data: bytes) -> tuple[int, bytes]:
        """Returns status and body; raises ``ConnectionError`` for a broken connection."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@dataclass(slots=True)
class Tally:
    """The outcomes of a run of requests."""

    statuses: dict[int, int] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return sum(self.statuses.values()) / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """The latency in ms of this quantile of requests."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


async def flood(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> Tally:
    """Sends as many requests as the server takes, for this time."""
    tally = Tally()
    end = time.perf_counter() + seconds

    async def work() -> None:
        connection = await Connection.open(port)
        while (began := time.perf_counter()) < end:
            data = next(requests, None)
            if data is None:
                break
            status, _ = await connection.send(data)
            tally.latencies_ms.append((time.perf_counter() - began) * 1000)
            tally.statuses[status] = tally.statuses.get(status, 0) + 1
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    tally.seconds = time.perf_counter() - began
    return tally


async def paced(port: int, requests: list[bytes], *, per_second: float, connections: int) -> Tally:
    """Sends each request at its intended time; its latency includes time in a queue."""
    tally = Tally()
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        idle.put_nowait(await Connection.open(port))
    tasks = set()

    async def one(data: bytes, due: float) -> None:
        connection = await idle.get()
        status, _ = await connection.send(data)
        idle.put_nowait(connection)
        tally.latencies_ms.append((time.perf_counter() - due) * 1000)
        tally.statuses[status] = tally.statuses.get(status, 0) + 1

    began = time.perf_counter()
    for index, data in enumerate(requests):
        due = began + index / per_second
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(data, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    tally.seconds = time.perf_counter() - began
    while not idle.empty():
        idle.get_nowait().close()
    return tally
