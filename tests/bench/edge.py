"""A running stack in; its edge's throughput beside a bare Starlette handler in the same run out."""

import itertools
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil

from deploy.local.seed import seed
from deploy.local.stack import environment
from deploy.provision import create_topics
from tests.bench import dialects
from tests.support import services
from tests.support.load_client import Tally, flood, request

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
    """A page view in a browser SDK's form, about 230 bytes of JSON."""
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
    """Parses the same JSON and returns a constant: the cost of Starlette and uvicorn alone."""
    port = services.free_port()

    def listens() -> bool:
        probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1).close()"
        return subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode == 0

    with services.child((sys.executable, "-c", BARE, str(port)), log=home / "bare.log", ready=listens):
        yield port


@asynccontextmanager
async def edge_alone(home: Path) -> AsyncIterator[tuple[int, psutil.Process]]:
    """Measures the edge with a broker and without stages: its throughput if the stages have their own cores."""
    with services.kafka(home, "", lambda _: None) as broker:
        settings = services.fresh_settings(home, kafka=broker.address)
        await create_topics(settings)
        await seed(settings)
        ready = home / "edge.ready"
        env = {**environment(settings), "HEADWATER_READY_FILE": str(ready)}
        command = (sys.executable, "-m", "ingest")
        with services.child(command, log=home / "ingest.log", ready=ready.exists, env=env) as process:
            yield settings.port, psutil.Process(process.pid)


def row(tally: Tally, events_each: int = 1) -> dict[str, Any]:
    return {
        "per_s": round(tally.per_second * events_each),
        "p50_ms": round(tally.quantile(0.5), 1),
        "p99_ms": round(tally.quantile(0.99), 1),
        "statuses": {str(k): v for k, v in tally.statuses.items()},
    }


async def measure(home: Path, seconds: float) -> dict[str, Any]:
    """Measures requests/s of the bare handler and of the edge, and events/s in batches of 100, in sequence."""
    with bare_handler(home) as bare:
        constant = await flood(bare, singles(), connections=64, seconds=seconds)
    async with edge_alone(home) as (port, process):
        native, busy = await _with_cpu(process, flood(port, singles(), connections=64, seconds=seconds))
        spoken = {name: await _ratio(port, prepared, seconds / 2) for name, prepared in dialects.singles().items()}
        hundreds = {
            name: await _ratio(port, prepared, seconds / 2, 100) for name, prepared in dialects.batches().items()
        }
        hundred, _ = await _with_cpu(process, flood(port, batches(100), connections=16, seconds=seconds))
    ratio = round(native.per_second / constant.per_second, 2)
    per_core = round(sum(native.statuses.values()) / busy)
    return {
        "bare handler, single": row(constant),
        "edge, single": row(native) | {"of_bare": ratio, "per_core_second": per_core},
        "edge, batches of 100": row(hundred, 100),
        "dialects, single, beside native just before": spoken,
        "dialects, batches of 100, beside native just before": hundreds,
    }


async def _ratio(port: int, prepared: list[bytes], seconds: float, events: int = 1) -> dict[str, Any]:
    """The dialect's rate beside a native run just before it: other load on the machine varies."""
    own = batches(events) if events > 1 else singles()
    connections = 16 if events > 1 else 64
    native = await flood(port, own, connections=connections, seconds=seconds)
    tally = await flood(port, itertools.cycle(prepared), connections=connections, seconds=seconds)
    return row(tally, events) | {"of_native": round(tally.per_second / native.per_second, 2)}


async def _with_cpu(process: psutil.Process, run: Awaitable[Tally]) -> tuple[Tally, float]:
    """Returns the tally, and the process's CPU seconds for it."""
    before = sum(process.cpu_times()[:2])
    tally = await run
    return tally, sum(process.cpu_times()[:2]) - before
