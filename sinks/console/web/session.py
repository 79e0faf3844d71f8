"""A key in, its session cookie out, and back; codes that sign a browser in once.

1. A cookie is the key itself, sealed (Fernet) with the instance's first secret key: the server keeps no session, so a
   restart ends no session. Without a secret key the process makes one, and a restart ends all.
2. The key is checked anew at every request: what is revoked or has expired is signed out at once.
3. A code is good once and for ten minutes. It is kept in memory alone.
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
    """What a cookie says; ``environment`` is empty for the key's own."""

    key: str
    environment: str


class Sessions:
    """``secret_keys``: the first seals, each unseals."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        keys = [key.encode() for key in secret_keys] or [secrets.token_bytes(32)]
        digests = [hashlib.blake2b(key, digest_size=32, person=_PURPOSE[:16]).digest() for key in keys]
        self._cipher = MultiFernet([Fernet(urlsafe_b64encode(digest)) for digest in digests])

    def seal(self, session: Session) -> str:
        """The cookie's value."""
        return self._cipher.encrypt(orjson.dumps(list(session))).decode().rstrip("=")

    def open(self, cookie: str | None) -> Session | None:
        """``None`` for a cookie that is not ours, was changed, or is older than ``COOKIE_S``."""
        if not cookie or len(cookie) > MOST_COOKIE or not cookie.isascii():
            return None
        try:
            return Session(*orjson.loads(self._cipher.decrypt(_padded(cookie), ttl=COOKIE_S)))
        except InvalidToken:
            return None


def _padded(text: str) -> bytes:
    """A cookie's value has no equals sign, which would have to be quoted."""
    return text.encode() + b"=" * (-len(text) % 4)


class Codes:
    """``clock`` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys: TTLCache[str, str] = TTLCache(MOST_CODES, CODE_S, timer=clock)

    def make(self, key: str) -> str:
        """A code for this key; the oldest goes where there are too many."""
        code = secrets.token_urlsafe(18)
        self._keys[code] = key
        return code

    def take(self, code: str) -> str | None:
        """The key that the code stands for, once."""
        return self._keys.pop(code, None)
