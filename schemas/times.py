"""Client times in (ISO 8601, unix seconds or milliseconds), epoch milliseconds out, and back."""

import re
from datetime import UTC, datetime
from typing import Any

MILLISECONDS_FROM = 100_000_000_000
"""Numbers from here on are milliseconds, smaller ones seconds (1973 in ms, 5138 in s)."""
LATEST_MS = 7_258_118_400_000
"""2200-01-01: beyond it a time is a mistake, and ClickHouse's DateTime64 ends soon after."""
_DURATION = re.compile(r"^(\d{1,9})([smhd])$")
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LEAP = re.compile(r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}):60(?:\.\d+)?")
"""A leap second is told as the last millisecond before it: no clock here has a place for it."""
_ISO = re.compile(r"^\d{4}-\d{2}-\d{2}")


def parse_iso(text: str) -> int | None:
    """Epoch ms of an ISO 8601 date or time (no zone: UTC); ``None`` where it is none, or not in 1970-2199."""
    if not _ISO.match(text):
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        try:
            when = datetime.fromisoformat(_LEAP.sub(r"\g<1>:59.999", text.upper(), count=1))
        except ValueError:
            return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    ms = round(when.timestamp() * 1000)
    return ms if 0 <= ms < LATEST_MS else None


def parse_time(value: Any) -> int | None:
    """Epoch ms of a client's timestamp in any accepted form; ``None`` where it is none."""
    if isinstance(value, str):
        return parse_iso(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < LATEST_MS:
        return None
    return int(value) if value >= MILLISECONDS_FROM else round(value * 1000)


def parse_duration(text: Any) -> int | None:
    """Milliseconds of ``90s``, ``10m``, ``2h`` or ``30d``; ``None`` where it is none, or zero."""
    found = _DURATION.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    ms = int(found[1]) * _UNITS[found[2]]
    return ms if 0 < ms < LATEST_MS else None


def iso(ms: int) -> str:
    """Epoch ms as ``2026-05-22T09:01:23.412Z``."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
