"""One case against one stack: the program's journey through the proxy in, what came of it and its requests out."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.sdks import certificate, runtimes
from tests.sdks.journey import BATCH, OFFLINE, Names, Outcome, faults
from tests.sdks.manifest import Case
from tests.sdks.proxy import Proxy, Request, proxy_to
from tests.sdks.readback import comes_true, read_back, wait_for
from tests.sdks.steps import serve

KEY = "pk_dev_local"
BATCH_S, OFFLINE_S, CLOSED_S, PROGRAM_S, SETTLED_S = 15.0, 40.0, 15.0, 90.0, 12.0


@dataclass(slots=True)
class Result:
    names: Names
    faults: list[str]
    outcome: Outcome
    requests: list[Request]
    began_ms: int
    ended_ms: int
    output: str = ""


@dataclass(slots=True)
class Trip:
    """A program's run, and the steps of it that are the harness's."""

    case: Case
    names: Names
    proxy: Proxy
    client: httpx.Client
    environment: dict[str, str]
    key: str = KEY
    done: threading.Event = field(default_factory=threading.Event)
    arrived: bool = False

    def away(self) -> None:
        self.arrived = wait_for(self.client, self.names.ann, "Batch", BATCH, BATCH_S)
        self.proxy.away()

    def back(self) -> None:
        self.proxy.back()
        if self.arrived and "offline" not in self.case.cannot:
            wait_for(self.client, self.names.ann, "Offline", OFFLINE, OFFLINE_S)

    def steps(self) -> dict[str, object]:
        return {"/away": self.away, "/back": self.back, "/done": self.done.set}


@contextmanager
def _key_of(case: Case, client: httpx.Client, *, is_recorded: bool) -> Iterator[str]:
    """A public key; of the run's own where another run would go on with what this one has not sent.

    Recordings name the same key, whatever was run: theirs begin with nothing on the disk.
    """
    if not case.sdk.queue:
        yield KEY
        return
    key = KEY
    if not is_recorded:
        made = client.post("/v1/keys", json={"name": f"run of {case.name}", "kind": "public"})
        key = made.raise_for_status().json()["key"]
    queue = Path(case.sdk.queue) / key
    shutil.rmtree(queue, ignore_errors=True)
    try:
        yield key
    finally:
        shutil.rmtree(queue, ignore_errors=True)


def journey(case: Case, folder: Path, stack_url: str, secret: dict[str, str], *, is_recorded: bool = False) -> Result:
    """Runs the program to its end; the faults are what is left when the pipeline has had time."""
    names = Names(f"r{uuid.uuid4().hex[:8]}")
    port = int(stack_url.rsplit(":", 1)[1])
    trust = folder.with_name(f"{folder.name}-tls")
    tls = certificate.loopback(trust) if case.sdk.tls else None
    with (
        httpx.Client(base_url=stack_url, headers=secret, timeout=30, trust_env=False) as client,
        proxy_to(port, tls) as proxy,
        _key_of(case, client, is_recorded=is_recorded) as key,
    ):
        trip = Trip(case, names, proxy, client, certificate.trusting(trust) if tls else {}, key)
        host = f"http{'s' if tls else ''}://127.0.0.1:{proxy.port}"
        began_ms = int(time.time() * 1000)
        go = browse if case.sdk.runtime == "browser" else _start
        output = go(trip, folder, host)
        ended_ms = int(time.time() * 1000)
        problems = [*_settled(trip, began_ms, ended_ms)]
        outcome = read_back(client, names)
        requests = proxy.requests()
        problems += [f"asked for {request.target}" for request in requests if request.target.startswith("/static/")]
    return Result(names, problems, outcome, requests, began_ms, ended_ms, output)


def _settled(trip: Trip, began_ms: int, ended_ms: int) -> list[str]:
    problems: list[str] = []

    def right() -> bool:
        outcome, skew_ms = read_back(trip.client, trip.names), trip.case.clock_h * 3_600_000
        problems[:] = faults(trip.names, outcome, trip.case.cannot, began_ms, ended_ms, skew_ms=skew_ms)
        return not problems

    comes_true(right, SETTLED_S)
    if not problems:
        time.sleep(0.5)  # a copy of an event may be on its way
        right()
    return problems


def _start(trip: Trip, folder: Path, host: str) -> str:
    command = runtimes.COMMANDS[trip.case.sdk.runtime](trip.case, folder)
    clock = runtimes.another_time(trip.case, folder.with_name(f"{folder.name}-clock"))
    with serve(trip.steps(), {}) as steps:  # type: ignore[arg-type]
        environment = {
            "HOST": host,
            "KEY": trip.key,
            "STEPS": steps.replace("localhost", "127.0.0.1"),
            "RUN": trip.names.run,
            "STRANGER": str(uuid.uuid4()),
            "VARIANT": trip.case.variant,
            **trip.environment,
            **clock,
        }
        done = subprocess.run(
            command,
            cwd=folder if folder.is_dir() else None,
            env={**os.environ, **environment},
            timeout=PROGRAM_S,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    return f"ended with {done.returncode}\n{done.stdout}" if done.returncode else done.stdout


def browse(trip: Trip, folder: Path, host: str) -> str:
    """A page with the program in a browser of its own, to its end; what it wrote to the console."""
    script = runtimes.bundle(trip.case, folder)
    given = f'var HOST="{host}",KEY="{trip.key}",RUN="{trip.names.run}",VARIANT="{trip.case.variant}";'
    given += CLOCK % (trip.case.clock_h * 3_600_000) if trip.case.clock_h else ""
    head = f'<meta charset="utf-8"><title>Shop</title><script>{given}{STEP}</script>'
    page = f'<!doctype html>{head}<script src="/page.js"></script>'
    files = {"/": page.encode(), "/page.js": script, "/done": b"<!doctype html><title>Closed</title>"}
    profile = Path(tempfile.mkdtemp(prefix="profile"))
    log = folder / f"{trip.case.sdk.path.stem}.log"
    with serve(trip.steps(), files) as origin, log.open("wb") as output:  # type: ignore[arg-type]
        browser = subprocess.Popen(
            runtimes.browse(origin + "/", profile), stdout=output, stderr=output, start_new_session=True
        )
        try:
            if trip.done.wait(PROGRAM_S):
                wait_for(trip.client, trip.names.ben, "Left", 1, CLOSED_S)
        finally:
            browser.terminate()
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()
            with suppress(OSError):
                shutil.rmtree(profile, ignore_errors=True)
    lines = [line for line in log.read_text(errors="replace").splitlines() if "CONSOLE" in line]
    return "\n".join(lines)


CLOCK = """
(function (by, Real) {
  function Date() { var given = arguments; return !new.target ? new Real(Real.now() + by).toString()
    : given.length ? new (Real.bind.apply(Real, [null].concat([].slice.call(given))))() : new Real(Real.now() + by); }
  Date.prototype = Real.prototype; Date.parse = Real.parse; Date.UTC = Real.UTC;
  Date.now = function () { return Real.now() + by; };
  window.Date = Date;
})(%d, Date);
"""
"""The page's clock is another one; nothing of the SDK is touched."""
STEP = """
var NAMES = {ann: RUN + "-ann", ben: RUN + "-ben", nick: RUN + "-nick", company: RUN + "-acme"};
var TRAITS = {email: NAMES.ann + "@example.com", plan: "pro", address: {city: "Köln"}};
var SECOND = {email: NAMES.ben + "@example.com", plan: "free"};
var BOUGHT = {total: 149.5, note: "danke 🎉 Grüße", items: [{sku: "A-1", tags: ["x", "y"]}],
  deep: {a: {b: [1, 2.5, true]}}};
var PAST = "2025-01-15T10:30:00.000Z";
function sleep(ms) { return new Promise(function (go) { setTimeout(go, ms); }); }
function step(name) { return fetch("/" + name); }
async function numbered(count, track) { for (var n = 0; n < count; n++) { track({n: n}); await sleep(5); } }
async function outage(track) { await step("away"); await numbered(5, track); await sleep(3000); await step("back"); }
function close_page() { location.href = "/done"; }
function go(journey) { journey().catch(function (error) { console.error(String(error)); close_page(); }); }
"""
