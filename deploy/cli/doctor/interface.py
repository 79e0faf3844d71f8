"""The public API in; findings on its health, the key's scopes and the pipeline's latency out."""

import asyncio
import secrets
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp

from deploy.cli.doctor.check import Check, Finding, Patient, fail, ok, skip, warn
from deploy.client.api import ApiClient, ApiRefusedError
from schemas.control.development import SECRET_KEY, is_loopback

CANARY = "headwater.canary"
SKEW_S = 5.0
SLOW_S = 2.0


async def live(patient: Patient) -> Finding:
    began = time.monotonic()
    async with ApiClient(patient.access, patience=1) as client:
        answer = await client.ask("GET", "/health/live")
    if answer.status != 200:
        return fail(f"{patient.access.url} answers {answer.status}", "headwater status")
    return ok(f"{patient.access.url}, {(time.monotonic() - began) * 1000:.0f} ms")


async def ready(patient: Patient) -> Finding:
    """Checks that the API accepts events and answers reads."""
    async with ApiClient(patient.access, patience=1) as client:
        _, health, _ = await client.ask("GET", "/health/ready")
    away = [
        f"{n}: {component.get('reason', component['state'])}"
        for n, component in health["components"].items()
        if component["state"] != "ok"
    ]
    if health["status"] == "ready":
        return ok("events are taken, reads are answered")
    result = warn if health["status"] == "degraded" else fail
    return result(f"{health['status']}: {'; '.join(away)[:300]}", f"curl {patient.access.url}/health/ready")


async def clock(patient: Patient) -> Finding:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{patient.access.url}/health/live", timeout=aiohttp.ClientTimeout(total=3)) as answer,
    ):
        date = answer.headers.get("Date", "")
    if not date:
        return skip("the answer has no time")
    skew = parsedate_to_datetime(date).timestamp() - time.time()
    text = f"{skew:+.0f} s beside this machine's"
    return ok(text) if abs(skew) < SKEW_S else warn(text, "timedatectl set-ntp true")


async def transport(patient: Patient) -> Finding:
    parts = urlsplit(patient.access.url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return warn("keys go over the network in clear", f"export HEADWATER_URL=https://{parts.netloc}")
    return ok("TLS" if parts.scheme == "https" else "on this machine alone")


async def key(patient: Patient) -> Finding:
    async with ApiClient(patient.access, patience=1) as client:
        try:
            await client.call("GET", "/v1/segments", query={"limit": "1"})
        except ApiRefusedError as refused:
            if refused.status == 401:
                mend = "python -m deploy.provision --first-key --workspace local"
                return fail("the key is unknown, revoked or expired", mend)
            if refused.status == 403:
                return warn(f"the key may not read: {refused.message}", "headwater keys list")
            raise
    published = patient.access.key == SECRET_KEY
    return ok("valid; the published one of the local stack" if published else "valid")


async def parity(patient: Patient) -> Finding:
    async with ApiClient(patient.access, patience=1) as client:
        report = await client.call("GET", "/v1/parity")
    if report["differences"]:
        path = f"{patient.access.url}/v1/parity"
        return fail(
            f"{report['differences']} of {report['compared']} memberships differ from their rule", f"curl {path}"
        )
    return ok(f"{report['compared']:,} memberships compared, all as their rule says")


async def ledger(patient: Patient) -> Finding:
    """Compares accepted events of the last hour with their outcomes, in settled minutes."""
    async with ApiClient(patient.access, patience=1) as client:
        try:
            report = await client.call("GET", "/v1/ledger")
        except ApiRefusedError as refused:
            return skip(f"the key may not read it: {refused.message}")
    wrong = [row for row in report["data"] if row["residual"] and row["minute"] < report["settled_before"]]
    if wrong:
        count = sum(abs(row["residual"]) for row in wrong)
        what = f"{count:,} accepted events are not accounted for, the first of {wrong[0]['minute']}"
        return fail(what, f"curl {patient.access.url}/v1/ledger")
    return ok(f"{report['totals']['accepted']:,} events accepted within an hour, each accounted for")


async def canary(patient: Patient) -> Finding:
    """Sends an event; measures its time until acceptance, and until all stages and a read have it."""
    name = f"canary_{secrets.token_hex(6)}"
    event = {"type": CANARY, "external_id": CANARY, "event_id": name, "properties": {"from": "headwater doctor"}}
    began = time.monotonic()
    async with ApiClient(patient.access, patience=1) as client:
        sent = await client.call("POST", "/v1/events/batch", {"events": [event]}, query={"task": "true"})
        taken = time.monotonic() - began
        while (await client.call("GET", f"/v1/tasks/{sent['task_id']}"))["status"] == "pending":  # noqa: ASYNC110 - another machine's state
            await asyncio.sleep(0.05)
        stored = time.monotonic() - began
        await client.call("GET", f"/v1/events/{name}")
        seconds = time.monotonic() - began
    text = f"taken after {taken * 1000:.0f} ms, stored after {stored * 1000:.0f}, read after {seconds * 1000:.0f}"
    return ok(text) if seconds < SLOW_S else warn(text, "headwater status")


CHECKS = (
    Check("api", "everything comes in there", live),
    Check("ready", "clients get 503 while it is not", ready),
    Check("api's clock", "times of events are measured by it", clock),
    Check("transport", "anyone who reads the key on its way may use it", transport),
    Check("key", "without a valid one each call is 401", key),
    Check("parity", "memberships and rows must say the same", parity),
    Check("ledger", "what was accepted must be stored, or it is known why not", ledger),
    Check("canary", "one event through everything proves more than all else", canary, within_s=10.0),
)
