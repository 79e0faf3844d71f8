"""A URL that requests will be sent to in; a refusal where it leads to a private address out.

The name is resolved when it is given, so that a private target is refused at once; decisive is the check when a
connection is made (`sinks/delivery/deliver.py`), so a name that does not resolve now is taken.
"""

import asyncio
import socket
from typing import Any

from schemas.control import url_policy
from schemas.errors import ApiError
from schemas.settings import Settings

RESOLVE_S = 2.0


async def check_target(settings: Settings, url: str, field: str = "url") -> None:
    """Raises ``ApiError`` (422)."""
    if settings.webhook_allow_private:
        return
    host, port = url_policy.host_of(url)
    if not all(url_policy.is_public(address) for address in await _addresses(host, port)):
        raise ApiError("invalid_field", "url leads to a private address", field)


async def _addresses(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_S):
            resolved: list[Any] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return []
    return [address[0] for *_, address in resolved]
