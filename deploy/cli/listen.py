"""`headwater listen --forward-to URL` in; webhooks forwarded to a program on this machine out.

While it runs, the command has its own webhook with its own secret; other endpoints are not affected. It passes the
program's responses back to Headwater, so retries and failures are those of a real endpoint.
"""

import asyncio
import datetime as dt
import secrets
import signal
import time
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import urlsplit

import aiohttp
import typer
from aiohttp import web

from deploy.client.api import ApiClient, ApiRefusedError, ApiUnreachableError, part
from deploy.client.config import ConfigError
from deploy.client.output import note, print_json, printable
from deploy.client.session import OPTIONS, api, examples, run
from sinks.delivery.sign import altacee

EXAMPLES = examples(
    "headwater listen --forward-to http://127.0.0.1:3000/hook --for 2s",
    "headwater listen --forward-to http://127.0.0.1:3000/hook --type segment.entered --type order_completed --for 2s",
)
MARK = "headwater-listen"
HEARTBEAT_S, MISSED = 10.0, 3
ANSWER_S = 9.0
"""Headwater waits for 10 s."""
LONGEST_S = 8 * 3600.0
MOST_BODY = 4 << 20
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_NOT_FORWARDED = frozenset({"host", "content-length", "connection", "accept-encoding", "transfer-encoding"})

Forward = Annotated[str, typer.Option("--forward-to", help="Your program, such as http://127.0.0.1:3000/hook.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Event types to receive; default: all. May be repeated.")
]
PublicUrl = Annotated[str, typer.Option(help="A tunnel's address that leads to --port, where Headwater is elsewhere.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Where to listen on this machine; 0: any free one.")]
For = Annotated[str, typer.Option("--for", help="End by itself, such as 30s, 10m or 8h, the longest.")]


def seconds(text: str) -> float:
    """Parses a duration; raises ``ConfigError``."""
    number, unit = text[:-1], text[-1:]
    if not number.isascii() or not number.isdigit() or len(number) > 6 or unit not in UNITS:
        raise ConfigError(f"--for {text!r}: such as 30s, 10m or 8h")
    return min(int(number) * UNITS[unit], LONGEST_S)


def add_to(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(listen)


def listen(
    forward_to: Forward, type_: Types = None, public_url: PublicUrl = "", port: Port = 0, for_: For = "8h"
) -> None:
    """Forward webhooks to a program on this machine, and show its answers; Ctrl-C ends it."""
    if urlsplit(forward_to).scheme not in ("http", "https") or not urlsplit(forward_to).hostname:
        raise ConfigError(f"--forward-to {forward_to!r} is no address such as http://127.0.0.1:3000/hook")
    run(_listen(forward_to, type_ or ["*"], public_url, port, seconds(for_)))


async def _listen(forward_to: str, types: list[str], public_url: str, port: int, longest_s: float) -> None:
    path = f"/{MARK}/{secrets.token_urlsafe(16)}"
    async with api() as client, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session:
        forwarder = Forwarder(session, forward_to)
        app = web.Application(client_max_size=MOST_BODY)
        app.router.add_post(path, forwarder.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            port = runner.addresses[0][1]
            await _forget_older(client)
            hook = await _subscribe(client, (public_url.rstrip("/") or f"http://127.0.0.1:{port}") + path, types)
            forwarder.secret = hook["secret"]
            note(f"listening: {', '.join(types)} -> {forward_to}   (Ctrl-C ends it)")
            try:
                await _until_ended(client, hook["id"], longest_s)
            finally:
                with suppress(ApiRefusedError, ApiUnreachableError):
                    await client.call("DELETE", f"/v1/webhooks/{part(hook['id'])}")
        finally:
            await runner.cleanup()


async def _subscribe(client: ApiClient, url: str, types: list[str]) -> dict[str, Any]:
    try:
        return await client.call("POST", "/v1/webhooks", {"url": url, "types": types})
    except ApiRefusedError as refused:
        if refused.param == "url":
            raise ConfigError(
                f"{refused.message}: start the stack with HEADWATER_WEBHOOK_ALLOW_PRIVATE=1, or give the address of a "
                "tunnel to this machine with --public-url and --port"
            ) from refused
        raise


async def _forget_older(client: ApiClient) -> None:
    """Deletes webhooks of killed listeners, on whose ports no process listens."""
    async for hook in client.listed("/v1/webhooks"):
        url = urlsplit(hook["url"])
        if url.hostname == "127.0.0.1" and url.path.startswith(f"/{MARK}/") and url.port:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", url.port)
            except OSError:
                await client.call("DELETE", f"/v1/webhooks/{part(hook['id'])}")
            else:
                writer.close()


async def _until_ended(client: ApiClient, hook: str, longest_s: float) -> None:
    """Waits for the end; raises ``ApiUnreachableError`` if the webhook is gone or the API does not answer."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    missed, until = 0, time.monotonic() + longest_s
    while not ended.is_set() and (left := until - time.monotonic()) > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(min(HEARTBEAT_S, left)):
                await ended.wait()
        try:
            shown = await client.call("GET", f"/v1/webhooks/{part(hook)}")
        except ApiUnreachableError:
            missed += 1
            note(f"Headwater does not answer ({missed} of {MISSED})")
            if missed >= MISSED:
                raise
            continue
        missed = 0
        if shown["status"] != "enabled":
            raise ApiUnreachableError(f"the webhook was disabled: {shown.get('reason') or 'by another user'}")


class Forwarder:
    """Forwards each request to the program, if this listener's secret signed it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.secret = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not secrets.compare_digest(request.headers.get("Altacee-Signature", ""), altacee(self.secret, body)):
            note("a request with another signature was refused")
            return web.Response(status=401)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_FORWARDED}
        began = time.monotonic()
        status, answer, problem = 502, b"", ""
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as reply:
                status, answer = reply.status, await reply.content.read(MOST_BODY)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            problem = str(error) or type(error).__name__
        self._show(request, await _type_of(request), status, problem, (time.monotonic() - began) * 1000)
        return web.Response(status=status, body=answer)

    def _show(self, request: web.Request, kind: str, status: int, problem: str, ms: float) -> None:
        event = request.headers.get("webhook-id", "")
        if OPTIONS.get().as_json:
            row = {"type": kind, "id": event, "attempt_id": request.headers.get("Altacee-Delivery-Id")}
            print_json({**row, "status": None if problem else status, "problem": problem or None, "ms": round(ms)})
            return
        now = dt.datetime.now(dt.UTC).astimezone()
        outcome = f"{self._url} does not answer: {problem}" if problem else f"{status} in {ms:.0f} ms"
        print(printable(f"{now:%H:%M:%S}  {kind}  {event}  {outcome}"), flush=True)


async def _type_of(request: web.Request) -> str:
    try:
        return str((await request.json())["type"])
    except (ValueError, KeyError, TypeError):
        return "?"
