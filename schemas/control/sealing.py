"""A secret in, its encrypted form for `control` out, and back; pure.

With a key of the instance, secrets are sealed by Fernet (AES-128-CBC and HMAC-SHA256), so that readers of Kafka and of
its backups have none. The first key seals, every key unseals: a key is changed by putting a new one in front. Without
a key, and in records of before, they stand in clear.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import BeforeValidator, PlainSerializer

SEALED = "\x1fsealed:"
"""Prefix of a sealed text; no customer's secret begins with a control character."""


class _Keys:
    """The keys of this process."""

    current: MultiFernet | None = None


def use(keys: Sequence[str]) -> None:
    """Sets the keys of this process: the first one seals, each one unseals. Without keys secrets stay in clear."""
    ciphers = [Fernet(urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys]
    _Keys.current = MultiFernet(ciphers) if ciphers else None


def seal(secret: str) -> str:
    if _Keys.current is None or not secret:
        return secret
    return SEALED + _Keys.current.encrypt(secret.encode()).decode()


def unseal(text: object) -> object:
    """Raises ``ValueError`` for a text sealed with another key."""
    if not isinstance(text, str) or not text.startswith(SEALED):
        return text
    if _Keys.current is None:
        raise ValueError("a secret is sealed and HEADWATER_SECRET_KEY is not set")
    try:
        return _Keys.current.decrypt(text.removeprefix(SEALED).encode()).decode()
    except InvalidToken:
        raise ValueError("a secret is sealed with a key that is not in HEADWATER_SECRET_KEY") from None


Secret = Annotated[str, BeforeValidator(unseal), PlainSerializer(seal, return_type=str, when_used="json")]
"""Clear in memory, sealed in a record."""
