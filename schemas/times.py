"""Client times in (ISO 8601, unix seconds or milliseconds), epoch milliseconds out, and back; pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

MILLISECONDS_FROM: Final = 100_000_000_000
"""Numbers from here on are milliseconds, smaller ones seconds (1973 in ms, 5138 in s)."""
LATEST_MS: Final = 7_258_118_400_000
"""2200-01-01: beyond it a time is a mistake, and ClickHouse's DateTime64 ends soon after."""
FIRST_MS: Final = -62_135_596_800_000
END_MS: Final = 253_402_300_800_000
"""0001-01-01 and 10000-01-01: bounds of times in attributes, properties and rules."""
DURATION: Final = r"[0-9]{1,9}[smhdw]"
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw])")
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
CLOCK_SKEW_MS: Final = 5_000
"""How far the clocks of an installation's machines may be apart."""
_UNITS: Final = {"s": 1_000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
ISO_VALUE: Final = (
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"([T ]([01][0-9]|2[0-3]):([0-5][0-9])(:([0-5][0-9])([.,]([0-9]{1,9}))?)?"
    r"(Z|([+-])([01][0-9]|2[0-3])(:?([0-5][0-9]))?)?)?"
)
"""Groups: year, month, day, -, hour, minute, -, second, -, fraction, -, sign, zone's hour, -, zone's minute."""
_ISO_VALUE: Final = re.compile(ISO_VALUE)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LEAP: Final = re.compile(r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}):60(?:\.\d+)?")
"""A leap second becomes the last millisecond before it: epoch milliseconds have no place for it."""
_ISO: Final = re.compile(r"^\d{4}-\d{2}-\d{2}")


def parse_iso(text: str) -> int | None:
    """Epoch ms of an ISO 8601 date or time (no zone: UTC); ``None`` if malformed, or not in 1970-2199."""
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
    """Epoch ms of a client's timestamp in any accepted form; ``None`` if malformed."""
    if isinstance(value, str):
        return parse_iso(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < LATEST_MS:
        return None
    return int(value) if value >= MILLISECONDS_FROM else round(value * 1000)


def value_ms(value: Any) -> int | None:
    """Epoch ms of a time that is the value of an attribute, a property or a rule; ``None`` if it is not a time.

    ISO 8601 from the year 1 to 9999 (no zone: UTC; digits behind the milliseconds do not count), or unix seconds or
    milliseconds. ``schemas.rules.sql_values.text_ms`` says the same in SQL.
    """
    if isinstance(value, str):
        return _iso_value(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not FIRST_MS <= value < END_MS:
        return None
    ms = int(value) if abs(value) >= MILLISECONDS_FROM else round(value * 1000)
    return ms if FIRST_MS <= ms < END_MS else None


def _iso_value(text: str) -> int | None:
    match = _ISO_VALUE.fullmatch(text)
    if match is None:
        return None
    year, month, day, _, hour, minute, _, second, _, fraction, _, sign, zone_hour, _, zone_minute = match.groups("0")
    try:
        at = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        return None
    ms = (at - _EPOCH) // timedelta(milliseconds=1) + int(fraction[:3].ljust(3, "0"))
    zone_ms = (int(zone_hour) * 60 + int(zone_minute)) * _UNITS["m"]
    ms += zone_ms if sign == "-" else -zone_ms
    return ms if FIRST_MS <= ms < END_MS else None


def parse_duration(text: Any) -> int | None:
    """Milliseconds of ``90s``, ``10m``, ``2h``, ``30d`` or ``2w``; ``None`` if malformed, or zero."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    ms = int(match[1]) * _UNITS[match[2]]
    return ms if 0 < ms < LATEST_MS else None


def iso(ms: int) -> str:
    """Epoch ms as ``2026-05-22T09:01:23.412Z``."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC).isoformat()[:19]}.{ms % 1000:03d}Z"
