"""Responses in; an HTTP server on loopback that keeps its requests, like a customer's endpoint, out."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """One request; header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def attempt_id(self) -> str:
        return self.headers["altacee-delivery-id"]


Answer = tuple[int, bytes]
"""Status and body, or a whole head and body where the status is 0."""
Decide = Callable[[Got], Awaitable[Answer]]


async def ok(_got: Got) -> Answer:
    return 200, b"ok"


@dataclass(slots=True)
class WebhookReceiver:
    """Receives requests; a test may replace ``decide`` at any time."""

    decide: Decide = ok
    got: list[Got] = field(default_factory=list)
    port: int = 0

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def of(self, path: str) -> list[Got]:
        return [got for got in self.got if got.path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                pairs = (line.partition(":") for line in head[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                got = Got(path=head[0].split()[1], headers=headers, body=body, at_s=time.perf_counter())
                self.got.append(got)
                status, answer = await self.decide(got)
                if status:
                    answer = b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (status, len(answer), answer)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiver(decide: Decide = ok) -> AsyncIterator[WebhookReceiver]:
    """Listens until the block ends, then closes open connections."""
    receiver = WebhookReceiver(decide)
    open_ones: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        try:
            await receiver.serve(reader, writer)
        except asyncio.CancelledError:
            writer.close()
        finally:
            open_ones.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 22)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(open_ones):
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
