"""A running stack in; the cost of an upsert, a contact of a batch, and a row of `headwater import` out.

CPU covers all processes of the stack, from the first request until the last row is readable.
`python -m tests.bench.imports [--quick]` measures this alone, with its own stack.
"""

import argparse
import asyncio
import csv
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import uvloop

from deploy.local.stack import environment
from tests.bench.pipeline import quantiles
from tests.support.load_client import flood, request
from tests.support.services import ROOT
from tests.support.stack import LocalStack, local_stack

BATCH = 1000
COUNTED = "SELECT uniqExact(external_id) FROM contacts WHERE startsWith(external_id, {name:String})"


def cpu_seconds(stack: LocalStack) -> dict[str, float]:
    return {name: float(sum(process.cpu_times()[:2])) for name, process in stack.processes().items()}


def cpu_us(stack: LocalStack, before: dict[str, float], count: int) -> dict[str, int]:
    """CPU µs of each contact, by process and in total."""
    used = {name: round((now - before[name]) * 1e6 / count) for name, now in cpu_seconds(stack).items()}
    return {"all": sum(used.values()), **used}


def people(name: str, count: int, *, emails: bool) -> list[dict[str, Any]]:
    return [
        {
            "external_id": f"{name}-{n}",
            **({"email": f"{name}-{n}@example.com"} if emails else {}),
            "attributes": {"first_name": "Ada", "last_name": f"L{n}", "plan": "pro", "visits": n},
            "consents": {"email_marketing": True},
        }
        for n in range(count)
    ]


async def singles(stack: LocalStack, count: int, together: int, *, emails: bool) -> dict[str, Any]:
    """Upserts new contacts over this many connections; each sends the next upsert when it has its answer."""
    bodies = people(f"one{secrets.token_hex(4)}", count, emails=emails)
    requests = [request("/v1/contacts?timeout_ms=10000", body) for body in bodies]
    spent = cpu_seconds(stack)
    tally = await flood(stack.settings.port, iter(requests), connections=together, seconds=240)
    assert tally.statuses == {201: count}, tally.statuses
    return {
        "together": together,
        "per_s": round(tally.per_second),
        "cpu_us_each": cpu_us(stack, spent, count),
    } | quantiles(tally.latencies_ms)


async def batches(stack: LocalStack, count: int, *, emails: bool) -> dict[str, Any]:
    """Sends new contacts by the thousand, and waits until all are readable."""
    name = f"many{secrets.token_hex(4)}"
    everyone = people(name, count, emails=emails)
    requests = [request("/v1/contacts/batch", {"contacts": everyone[at : at + BATCH]}) for at in range(0, count, BATCH)]
    return await _until_read(stack, name, count, requests)


async def _until_read(stack: LocalStack, name: str, count: int, requests: Sequence[bytes]) -> dict[str, Any]:
    client = await stack.database()
    spent, began = cpu_seconds(stack), time.perf_counter()
    tally = await flood(stack.settings.port, iter(requests), connections=4, seconds=120)
    accepted = time.perf_counter() - began
    stored = 0
    while stored < count and time.perf_counter() - began < 240:
        await asyncio.sleep(0.2)
        stored = (await client.query(COUNTED, parameters={"name": name})).result_rows[0][0]
    seconds = time.perf_counter() - began
    await client.close()
    return {
        "contacts": count,
        "read": stored,
        "accepted_per_s": round(count / accepted),
        "read_per_s": round(stored / seconds),
        "cpu_us_each": cpu_us(stack, spent, count),
        "statuses": {str(k): v for k, v in tally.statuses.items()},
    }


def csv_of_contacts(path: Path, name: str, count: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["User ID", "First name", "Plan", "Visits", "Zip", "consents.email_marketing"])
        for n in range(count):
            writer.writerow([f"{name}-{n}", "Ada", "pro", n, f"{n:05d}", "no" if n % 2 else "yes"])


def ndjson_of_orders(path: Path, name: str, count: int) -> None:
    with path.open("w") as file:
        for n in range(count):
            properties = {"total": n % 300, "currency": "EUR", "items": [{"sku": f"s{n % 50}", "quantity": 1}]}
            order = {"type": "order_completed", "external_id": f"{name}-{n % 5000}", "properties": properties}
            file.write(json.dumps({**order, "timestamp": f"2026-11-{1 + n % 25:02d}T12:00:00Z"}) + "\n")


def command(stack: LocalStack, kind: str, count: int, folder: Path) -> dict[str, Any]:
    """Runs `headwater import` on a file: measures the program's own CPU and memory, and the stack's CPU."""
    path, name = folder / f"{kind}-{count}", f"file{secrets.token_hex(4)}"
    (csv_of_contacts if kind == "contacts" else ndjson_of_orders)(path, name, count)
    spent, began = cpu_seconds(stack), time.perf_counter()
    with (folder / "account.json").open("w+") as account:
        words = [sys.executable, "-m", "deploy.cli", "import", kind, str(path), "--json"]
        env = {**os.environ, **environment(stack.settings)}
        program = subprocess.Popen(words, cwd=ROOT, env=env, stdout=account, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(program.pid, 0)
        seconds = time.perf_counter() - began
        program.returncode = os.waitstatus_to_exitcode(status)
        account.seek(0)
        summary = json.loads(account.read().splitlines()[-1])
    assert (program.returncode, summary["sent"]) == (0, count), summary
    return {
        "rows": count,
        "rows_per_s": round(count / seconds),
        "program_cpu_us_each": round((used.ru_utime + used.ru_stime) * 1e6 / count, 1),
        "program_peak_mb": round(used.ru_maxrss / 1024),
        "cpu_us_each": cpu_us(stack, spent, count),
    }


async def _each(stack: LocalStack, *, quick: bool) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    some, many = (40, 5_000) if quick else (200, 50_000)
    for emails, name in ((False, "one identifier"), (True, "external id and e-mail")):
        yield f"upserts in a row, {name}", await singles(stack, some, 1, emails=emails)
        for together in (64, 256):
            yield f"{together} upserts together, {name}", await singles(stack, some * 20, together, emails=emails)
        yield f"batches of {BATCH}, {name}", await batches(stack, many, emails=emails)
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("contacts", "events"):
            for rows in (many, 4 * many):
                summary = await asyncio.to_thread(command, stack, kind, rows, Path(folder))
                yield f"headwater import {kind}, {rows:,} rows", summary


async def measure(stack: LocalStack, *, quick: bool) -> dict[str, Any]:
    return {name: figures async for name, figures in _each(stack, quick=quick)}


async def _tell(stack: LocalStack, *, quick: bool) -> None:
    async for name, figures in _each(stack, quick=quick):
        print(name, json.dumps(figures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.imports", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer contacts, coarser figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, local_stack(Path(home)) as stack:
        uvloop.run(_tell(stack, quick=options.quick))


if __name__ == "__main__":
    main()
