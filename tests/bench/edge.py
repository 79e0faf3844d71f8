"""A running stack in; how much its edge takes beside a bare Starlette handler in the same run, out."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.load import Tally, flood, request
from tests.services import child, free_port

BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

async def take(request):
    await request.json()
    return Response(b'{"ok":true}', media_type="application/json")

uvicorn.run(Starlette(routes=[Route("/v1/events", take, methods=["POST"])]), host="127.0.0.1",
            port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning")
"""
USERS = 5000


def event(number: int, **more: Any) -> dict[str, Any]:
    """A page view as a browser SDK would send it, about 230 bytes of JSON."""
    return {
        "type": "page_view",
        "user_id": f"user{number % USERS}",
        "timestamp": "2026-11-20T10:00:00Z",
        "properties": {
            "url": "https://example.com/a/b/c",
            "title": "Hello world",
            "price": 12.5,
            "plan": "pro",
            "n": number,
        },
        **more,
    }


def singles() -> Iterator[bytes]:
    prepared = [request("/v1/events", event(n)) for n in range(2 * USERS)]
    return itertools.cycle(prepared)


def batches(size: int) -> Iterator[bytes]:
    prepared = [request("/v1/events/batch", {"events": [event(b * size + n) for n in range(size)]}) for b in range(100)]
    return itertools.cycle(prepared)


@contextmanager
def bare_handler(home: Path) -> Iterator[int]:
    """Parses the same JSON and answers a constant: what Starlette and uvicorn cost by themselves."""
    port = free_port()

    def listens() -> bool:
        probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1).close()"
        return subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode == 0

    with child((sys.executable, "-c", BARE, str(port)), log=home / "bare.log", ready=listens):
        yield port


def row(tally: Tally, events_each: int = 1) -> dict[str, Any]:
    return {
        "per_s": round(tally.per_second * events_each),
        "p50_ms": round(tally.quantile(0.5), 1),
        "p99_ms": round(tally.quantile(0.99), 1),
        "statuses": {str(k): v for k, v in tally.statuses.items()},
    }


async def measure(port: int, home: Path, seconds: float) -> dict[str, Any]:
    """Requests/s of the bare handler and of the edge, and events/s in batches of 100."""
    with bare_handler(home) as bare:
        constant = await flood(bare, singles(), connections=64, seconds=seconds)
    one = await flood(port, singles(), connections=64, seconds=seconds)
    hundred = await flood(port, batches(100), connections=16, seconds=seconds)
    return {
        "bare handler, single": row(constant),
        "edge, single": row(one) | {"of_bare": round(one.per_second / constant.per_second, 2)},
        "edge, batches of 100": row(hundred, 100),
    }
