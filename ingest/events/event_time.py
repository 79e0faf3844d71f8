"""An event's time as its sender says it in, epoch milliseconds and the warnings about it out; pure.

1. An unreadable time is refused. A lenient dialect takes the time of arrival instead: its clients drop a whole batch
   for one refusal. The text stays in the event's context.
2. A client's clock is corrected by the time from ``sent_at`` to the arrival, up to two days. A larger difference is
   not a wrong clock, but an import of old events or a device without a date.
"""

from typing import Any, Final

from ingest.events.raw import RawEvent
from schemas.errors import ApiError
from schemas.json_bytes import json_bytes
from schemas.times import LATEST_MS, iso, parse_time
from schemas.warning import warning

UNREADABLE: Final = "_timestamp"
"""The field of the context that keeps the text of a time that cannot be read."""
MAX_KEPT: Final = 256
MAX_SKEW_MS: Final = 60_000
"""How far a client's clock may be ahead of ours before its events get a warning."""
MAX_CORRECTION_MS: Final = 48 * 3_600_000
EARLIEST_LIKELY_MS: Final = 946_684_800_000
"""2000-01-01: an earlier event is most likely one whose device has lost its date."""


def event_time(raw: RawEvent, now_ms: int, warnings: list[str], *, lenient: bool) -> int:
    """Raises ``ApiError``; adds to ``warnings``, and to the event's context the text of an unreadable time."""
    if raw.timestamp is None:
        return now_ms - (raw.age_ms or 0)
    ms = _readable(raw.timestamp)
    if ms is None:
        if not lenient:
            raise ApiError("invalid_field", "timestamp must be ISO 8601, or unix seconds or milliseconds", "timestamp")
        raw.context = {**(raw.context or {}), UNREADABLE: _kept(raw.timestamp)}
        text = f"timestamp cannot be read: the event has the time of its arrival, context.{UNREADABLE} the text"
        warnings.append(warning("unreadable_timestamp", text))
        return now_ms
    if raw.sent_at is not None:
        ms = _corrected(ms, raw.sent_at, now_ms, warnings)
    if ms > now_ms + MAX_SKEW_MS:
        text = f"timestamp is in the future; rules count the event from {iso(ms)} on"
        warnings.append(warning("future_timestamp", text))
    elif ms < EARLIEST_LIKELY_MS:
        text = f"timestamp is before 2000-01-01; the event is stored at {iso(ms)}"
        warnings.append(warning("old_timestamp", text))
    return ms


def _corrected(ms: int, sent_at: Any, now_ms: int, warnings: list[str]) -> int:
    sent_ms = _readable(sent_at)
    if sent_ms is None:
        warnings.append(warning("ignored_sent_at", "the time of sending is not valid and was ignored"))
        return ms
    if abs(now_ms - sent_ms) > MAX_CORRECTION_MS:
        text = "the time of sending is more than 48 hours from the arrival: timestamp was not corrected by it"
        warnings.append(warning("ignored_sent_at", text))
        return ms
    return max(0, ms + now_ms - sent_ms)


def _readable(value: Any) -> int | None:
    ms = parse_time(value)
    return ms if ms is not None and 0 <= ms < LATEST_MS else None


def _kept(value: Any) -> str:
    text = value if isinstance(value, str) else json_bytes(value, "timestamp").decode()
    return text[:MAX_KEPT]
