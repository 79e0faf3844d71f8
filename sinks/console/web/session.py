"""A key in; its session cookie out, and back; one-time codes that sign a browser in.

1. A cookie is the sealed key (Fernet, with the instance's first secret key). The server keeps no session, so sessions
   survive a restart. Without a secret key the process makes one, and a restart ends all sessions.
2. Each request checks the key again: revocation or expiry signs out at once.
3. A code is valid once, for ten minutes. Only memory holds it.
"""

import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson
from cachetools import TTLCache
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

COOKIE = "headwater_console"
COOKIE_S = 12 * 3600
CODE_S = 600.0
MOST_CODES = 1000
MOST_COOKIE = 4096
_PURPOSE = b"headwater console"
"""So that a sealed cookie and a sealed secret of a webhook are never each other."""


class Session(NamedTuple):
    """The content of a cookie; ``environment`` is empty for the key's own."""

    key: str
    environment: str


class Sessions:
    """``secret_keys``: the first seals, and each one unseals."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        keys = [key.encode() for key in secret_keys] or [secrets.token_bytes(32)]
        digests = [hashlib.blake2b(key, digest_size=32, person=_PURPOSE[:16]).digest() for key in keys]
        self._cipher = MultiFernet([Fernet(urlsafe_b64encode(digest)) for digest in digests])

    def seal(self, session: Session) -> str:
        """Returns the cookie's value."""
        return self._cipher.encrypt(orjson.dumps(list(session))).decode().rstrip("=")

    def open(self, cookie: str | None) -> Session | None:
        """Returns ``None`` for a foreign or changed cookie, or one older than ``COOKIE_S``."""
        if not cookie or len(cookie) > MOST_COOKIE or not cookie.isascii():
            return None
        try:
            return Session(*orjson.loads(self._cipher.decrypt(_padded(cookie), ttl=COOKIE_S)))
        except InvalidToken:
            return None


def _padded(text: str) -> bytes:
    """Restores the padding: a cookie's value has no equals sign, which would need quotes."""
    return text.encode() + b"=" * (-len(text) % 4)


class Codes:
    """``clock`` returns seconds that never decrease."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys: TTLCache[str, str] = TTLCache(MOST_CODES, CODE_S, timer=clock)

    def make(self, key: str) -> str:
        """Makes a code for this key; drops the oldest code beyond the limit."""
        code = secrets.token_urlsafe(18)
        self._keys[code] = key
        return code

    def take(self, code: str) -> str | None:
        """Returns the code's key, once."""
        return self._keys.pop(code, None)
