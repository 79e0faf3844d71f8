"""A webhook request in; its outcome out, always within ten seconds.

1. The client follows no redirect, uses no proxy and no cookie, and decompresses nothing.
2. The client checks the resolved address when it makes the socket, so a name that resolves differently the second time
   gains nothing. ``webhook_allow_private`` switches the check off.
3. The client reads only the beginning of an answer.
4. Nothing is sent while another sender may be active; the client checks this again once it has a connection.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from schemas.control.url_policy import is_public
from schemas.records import deliveries
from schemas.service import clock
from schemas.settings import Settings
from sinks.delivery.backoff import AttemptOutcome, asked_wait_ms
from sinks.delivery.excerpt import excerpt
from sinks.delivery.lease import LeaseLostError

TIMEOUT_S = 10.0
BODY_S = 1.0
EXCERPT = 2048
BUSY = (429, 503)
"""Answers whose ``Retry-After`` counts."""
CONNECTIONS = 4000
IDLE_S = 30.0


class PrivateTargetError(OSError):
    """The name leads to an address that webhooks must not reach."""


def public_socket(info: Any) -> socket.socket:
    """A socket for this address; raises ``PrivateTargetError``."""
    family, kind, proto, _, address = info
    if not is_public(address[0]):
        raise PrivateTargetError(f"{address[0]} is no public address")
    return socket.socket(family, kind, proto)


class HeldConnector(aiohttp.TCPConnector):
    """Gives no connection away while another sender may be at work, however long it took to make it."""

    def __init__(self, hold: Callable[[], Awaitable[None]], **options: Any) -> None:
        super().__init__(**options)
        self._hold = hold

    async def connect(self, *args: Any, **options: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **options)
        try:
            await self._hold()
        except BaseException:
            connection.close()
            raise
        return connection


class Deliverer:
    """A pool of connections; the lane of a host bounds its requests."""

    def __init__(self, settings: Settings, hold: Callable[[], Awaitable[None]]) -> None:
        self._allow_private = settings.webhook_allow_private
        self._hold = hold

    async def start(self) -> None:
        connector = HeldConnector(
            self._hold,
            limit=CONNECTIONS,
            ttl_dns_cache=10,
            keepalive_timeout=IDLE_S,
            socket_factory=None if self._allow_private else public_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            skip_auto_headers=("Accept", "Accept-Encoding"),
        )

    async def stop(self) -> None:
        await self._session.close()

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> AttemptOutcome:
        """Raises only ``CancelledError`` and the errors of ``hold``."""
        await self._hold()
        began = time.monotonic()
        code, reason, error, response, retry_after_ms = 0, "", "", b"", 0
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                code = answer.status
                if code in BUSY:
                    retry_after_ms = asked_wait_ms(answer.headers.get("Retry-After", ""), clock.now_ms())
                response = excerpt(await _beginning(answer), EXCERPT)
        except LeaseLostError:
            raise
        except TimeoutError:
            reason, error = deliveries.TIMED_OUT, f"no answer within {TIMEOUT_S:g} s"
        except Exception as caught:  # noqa: BLE001 - any error that an endpoint or its address causes is its failure
            reason, error = _reason_of(caught)
        if code:
            reason, error = _status_reason(code), f"status {code}"
        duration_ms = round((time.monotonic() - began) * 1000)
        return AttemptOutcome(
            code=code,
            error="" if 200 <= code < 300 else error,
            duration_ms=duration_ms,
            response=response,
            retry_after_ms=retry_after_ms,
            reason=reason,
        )


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    """The part of the body that comes within a second; the status decides, even if the body breaks off."""
    beginning = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            # a further byte shows that the body goes on
            while len(beginning) <= EXCERPT and not answer.content.at_eof():
                beginning += await answer.content.read(EXCERPT + 1 - len(beginning))
    except (TimeoutError, aiohttp.ClientError, OSError):
        answer.close()
    return bytes(beginning)


def _status_reason(code: int) -> str:
    """Empty for 2xx."""
    if 200 <= code < 300:
        return ""
    return deliveries.REDIRECTED if 300 <= code < 400 else deliveries.ANSWERED


def _reason_of(error: Exception) -> tuple[str, str]:
    """The reason, also in a few words; no address of ours is in it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PrivateTargetError) or "is no public address" in str(cause):
            return deliveries.PRIVATE, "the address is private: refused"
        cause = cause.__cause__ or getattr(cause, "os_error", None)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return deliveries.UNRESOLVED, "the host name cannot be resolved"
    if isinstance(error, aiohttp.ClientSSLError):
        return deliveries.INSECURE, f"TLS: {type(error).__name__}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return deliveries.UNREACHED, f"cannot connect: {error.os_error.strerror or error.os_error}"[:200]
    return deliveries.UNREACHED, f"{type(error).__name__}: {error}"[:200]
