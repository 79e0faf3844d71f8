"""A stack of its own in; the console's cost out: pages among a million contacts, viewers under load, a browser's heap.

`python -m tests.bench.console [--only viewers|pages] [--contacts N] [--rate N] [--soak SECONDS]`. A page's time is
that of its response on loopback, so it includes the page's API calls. A viewer's cost is the read API's CPU beyond the
same load without a viewer, in percent of a core.
"""

import argparse
import asyncio
import json
import re
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import uvloop
from playwright.async_api import async_playwright

from tests.bench import contacts
from tests.bench.pipeline import quantiles
from tests.sdks.runtimes import chromium
from tests.support.stack import SECRET, LocalStack, local_stack

OTHERS = ("campaigns", "webhooks", "quarantine", "pipeline", "keys")
RUNS = 20
SPAN_S = 10.0
BATCH = 100
WARM_S = 3.0
RULE = {"attribute": "plan", "op": "eq", "value": "pro"}


@asynccontextmanager
async def signed_in(stack: LocalStack) -> AsyncIterator[httpx.AsyncClient]:
    """Yields a client with a browser's session cookie."""
    async with httpx.AsyncClient(base_url=stack.url, timeout=60, trust_env=False) as client:
        path = (await client.post("/console/links", headers=SECRET)).json()["path"]
        answer = await client.get(path, headers={"Accept": "text/html"})
        client.headers["Cookie"] = f"headwater_console={answer.cookies['headwater_console']}"
        client.headers["Sec-Fetch-Site"] = "same-origin"
        yield client


async def pages(stack: LocalStack, count: int) -> dict[str, Any]:
    """Measures the milliseconds of each page and fragment among these contacts, one in ten of them in a segment."""
    filled = await contacts.fill(stack.settings, count)
    async with stack.client() as client:
        made = (await client.post("/v1/segments", json={"name": "A tenth", "rule": RULE})).json()["id"]
    database = await stack.database()
    try:
        await database.command(contacts.MEMBERS.replace(contacts.SEGMENT, made), parameters={"count": count})
    finally:
        await database.close()
    segment = f"segments/{made}"
    requests = {
        **{name: ("GET", f"/console/{name}", {}) for name in ("live", "contacts", "segments", "segments/new")},
        "a contact": ("GET", f"/console/contacts/{filled['ids'][0]}", {}),
        "found by e-mail": ("GET", "/console/contacts?q=u0@example.com", {}),
        "a segment": ("GET", f"/console/{segment}", {}),
        "its size over time": ("GET", f"/console/{segment}/history", {}),
        "its rule's count": ("POST", "/console/segments/preview", {"source": "first", "rule": json.dumps(RULE)}),
        **{
            name: ("GET", f"/console/{name}", {})
            for name in ("campaigns", "webhooks", "quarantine", "pipeline", "keys")
        },
    }
    figures: dict[str, Any] = {}
    async with signed_in(stack) as browser:
        for name, (method, path, form) in requests.items():
            times: list[float] = []
            answer = None
            for _ in range(RUNS):
                began = time.perf_counter()
                answer = await browser.request(method, path, data=form or None)
                times.append((time.perf_counter() - began) * 1000)
                assert answer.status_code in (200, 303), (name, answer.status_code, answer.text[:300])
            figures[name] = quantiles(times)
            if answer is not None and b"<!doctype" in answer.content[:20]:
                figures[name]["kB"] = round(await _weight(browser, answer) / 1000, 1)
    return figures


async def _weight(browser: httpx.AsyncClient, page: httpx.Response) -> int:
    """Returns the bytes of a browser's first visit: the page and its files, compressed."""
    files = set(re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page.text))
    return page.num_bytes_downloaded + sum([(await browser.get(path)).num_bytes_downloaded for path in sorted(files)])


async def load(stack: LocalStack, rate: int, until: float) -> int:
    """Sends this rate of events in batches; returns their number."""
    sent, began = 0, time.monotonic()
    async with stack.client() as client:
        while (now := time.monotonic()) < until:
            events = [
                {"type": "load", "external_id": f"l{(sent + n) % 5000}", "properties": {"path": "/x", "n": n}}
                for n in range(BATCH)
            ]
            await client.post("/v1/events/batch", json={"events": events})
            sent += BATCH
            await asyncio.sleep(max(0.0, sent / rate - (now - began)))
    return sent


async def cost(stack: LocalStack, rate: int, viewers: int) -> dict[str, float]:
    """Returns the read API's share of a core with this number of viewers."""

    async def watch() -> None:
        async with signed_in(stack) as browser, browser.stream("GET", "/console/live/stream", timeout=None) as stream:
            async for _ in stream.aiter_raw():
                pass

    watching = [asyncio.create_task(watch()) for _ in range(viewers)]
    process = stack.processes()["query"]
    try:
        await load(stack, rate, time.monotonic() + WARM_S)
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        sent = await load(stack, rate, began + SPAN_S)
        seconds = time.monotonic() - began
        used = sum(process.cpu_times()[:2]) - before
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    return {"events/s": round(sent / seconds), "percent of a core": round(100 * used / seconds, 1)}


async def soak(stack: LocalStack, rate: int, seconds: float) -> dict[str, float]:
    """Returns a browser's heap in MB after collections, after a tenth of the time and at the end."""
    async with async_playwright() as playwright, stack.client() as client:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(stack.url + (await client.post("/console/links")).json()["path"])
        probe = await page.context.new_cdp_session(page)

        async def heap() -> float:
            await probe.send("HeapProfiler.collectGarbage")
            used = await probe.send("Runtime.getHeapUsage")
            return round(float(used["usedSize"]) / 1e6, 1)

        await load(stack, rate, time.monotonic() + seconds / 10)
        first = await heap()
        await load(stack, rate, time.monotonic() + seconds * 0.9)
        last, rows = await heap(), await page.locator("#rows > li").count()
        await browser.close()
    return {"after a tenth": first, "at the end": last, "grown": round(last - first, 1), "rows on the page": rows}


async def viewers(rate: int, seconds: float) -> AsyncIterator[tuple[str, Any]]:
    """Yields each figure at once: the whole run takes minutes."""
    with tempfile.TemporaryDirectory() as home, local_stack(Path(home)) as stack:
        for count in (0, 1, 10):
            yield f"{count} viewers at {rate:,} events/s", await cost(stack, rate, count)
        if seconds:
            yield f"heap in MB over {seconds:g} s", await soak(stack, rate, seconds)


async def measure(options: argparse.Namespace) -> AsyncIterator[tuple[str, Any]]:
    if options.only != "pages":
        async for figure in viewers(options.rate, options.soak):
            yield figure
    if options.only != "viewers":
        with tempfile.TemporaryDirectory() as home, local_stack(Path(home)) as stack:
            for name, figures in (await pages(stack, options.contacts)).items():
                yield f"ms of {name} among {options.contacts:,} contacts", figures


async def _tell(options: argparse.Namespace) -> None:
    async for name, figure in measure(options):
        print(name, json.dumps(figure), flush=True)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.console", description=__doc__)
    parser.add_argument("--only", choices=("viewers", "pages"), help="measure one part")
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=1000, help="events a second")
    parser.add_argument("--soak", type=float, default=120.0, help="seconds that a browser watches; 0: none")
    options = parser.parse_args(words)
    with suppress(KeyboardInterrupt):
        uvloop.run(_tell(options))


if __name__ == "__main__":
    main()
