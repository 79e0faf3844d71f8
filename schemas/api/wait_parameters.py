"""A query in; whether its caller waits for the result, for how many milliseconds, and whether it wants a task; pure."""

from collections.abc import Callable, Mapping

from schemas.errors import ApiError
from schemas.limits import DEFAULT_TIMEOUT_MS, SYNC_WORDS, TIMEOUT_MS


def sync_timeout_ms(query: Mapping[str, str]) -> int | None:
    """Milliseconds to wait for ``sync=true``; ``None``: do not wait. Raises ``ApiError`` (422)."""
    return timeout_ms(query) if is_true(query, "sync") else None


def is_true(query: Mapping[str, str], name: str) -> bool:
    """Reads a boolean parameter, false if it is absent; raises ``ApiError`` (422)."""
    word = query.get(name, "false").lower()
    if word not in SYNC_WORDS:
        raise ApiError("invalid_field", f"{name} must be true or false", name)
    return word in ("true", "1")


def timeout_ms(query: Mapping[str, str]) -> int:
    """Milliseconds that a caller waits for its write; raises ``ApiError`` (422)."""
    text, (low, high) = query.get("timeout_ms", str(DEFAULT_TIMEOUT_MS)), TIMEOUT_MS
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not low <= int(text) <= high:
        raise ApiError("invalid_field", f"timeout_ms must be {low} to {high}", "timeout_ms")
    return int(text)


CHECKS: dict[str, Callable[[Mapping[str, str]], object]] = {"sync": sync_timeout_ms, "timeout_ms": timeout_ms}
"""Functions that raise ``ApiError`` for a wrong value, by parameter."""
