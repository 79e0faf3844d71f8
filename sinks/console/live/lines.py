"""Rows of the live view in; the lines of a program's stream, one JSON object each, out.

A row is a line at once, and again with the same ``id`` after each change. Other lines are ``hidden`` (the number of
rows left out), ``gap`` (rows may be missing, in unknown number) and ``alive`` (no other line for a while).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson

from schemas.control.control_state import Segment
from schemas.limits import GAPS
from schemas.service.clock import now_ms
from schemas.times import iso
from sinks.console.live.feed import LiveFeed
from sinks.console.live.rows import LiveRow
from sinks.console.live.viewer import LiveViewer

ALIVE_S, GATHER_S, CHECK_S = 10.0, 0.06, 2.0
BEHIND, BUSY = GAPS
MOST_OF_WORKSPACE = 10
"""Streams of one workspace at a time."""


async def lines(
    feed: LiveFeed,
    viewer: LiveViewer,
    since_ms: int | None,
    *,
    until_s: float,
    is_valid: Callable[[], bool],
    segments: Mapping[str, Segment],
) -> AsyncIterator[bytes]:
    """Yields lines until then (monotonic seconds), or until the key becomes invalid."""
    sent_at = checked = time.monotonic()
    busy_told = 0.0
    yield _line({"kind": "alive", "at": iso(now_ms())})
    async with feed.watching(viewer, since_ms):
        while (now := time.monotonic()) < until_s:
            await feed.wait(min(1.0, until_s - now))
            await asyncio.sleep(GATHER_S)
            if now - checked > CHECK_S:
                checked = now
                if not is_valid():
                    return
            rows, hidden = viewer.take()
            parts = [_line(shape(row, segments)) for row in sorted(rows, key=lambda row: row.place)]
            if hidden:
                parts.append(_line({"kind": "hidden", "at": iso(now_ms()), "rows": hidden}))
            if viewer.has_gap:
                viewer.has_gap = False
                parts.append(_line({"kind": "gap", "at": iso(now_ms()), "reason": BEHIND}))
            if feed.share < 1 and now - busy_told > ALIVE_S:
                busy_told = now
                parts.append(_line({"kind": "gap", "at": iso(now_ms()), "reason": BUSY}))
            if not parts and now - sent_at > ALIVE_S:
                parts.append(_line({"kind": "alive", "at": iso(now_ms())}))
            if parts:
                sent_at = now
                yield b"".join(parts)


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def shape(row: LiveRow, segments: Mapping[str, Segment]) -> dict[str, Any]:
    """Returns the present row; times are milliseconds after the edge received the event, ``null`` if unknown."""
    common = {"kind": row.kind, "id": row.id, "at": iso(row.at_ms), "event_id": row.event_id or None}
    if row.kind == "quarantined":
        return {**common, "reason": row.type, "detail": row.reason, "place": row.path}
    if row.kind == "refused":
        refused = {"status": row.status, "code": row.type, "message": row.reason, "param": row.param or None}
        sender = {"request": row.path, "source": row.source, "key": row.key, "agent": row.agent}
        item = {"type": row.item_type or None, "taken": row.taken} if row.item else None
        return {**common, **refused, **sender, "item": item, "untold": row.untold}
    moved = [
        {
            "id": segment_id,
            "name": segments[segment_id].name if segment_id in segments else None,
            "change": "entered" if member else "left",
        }
        for segment_id, member in row.segments
    ]
    return {
        **common,
        "type": row.type,
        "source": row.source,
        "key": row.key,
        "environment": row.environment,
        "contact_id": row.contact_id if row.resolved else None,
        "identifiers": [f"{kind}:{value}" for kind, value in row.identifiers],
        "preview": row.preview,
        "warnings": row.warnings,
        "segments": moved,
        "resolved": row.resolved is not None,
        "judged": row.judged,
        "stored": row.stored,
        "duplicate": row.is_duplicate,
        "conflict": row.is_conflict,
        "times": {
            "accepted_ms": row.accepted_ms,
            "resolved_ms": row.resolved_ms,
            "judged_ms": row.judged_ms,
            "stored_ms": row.stored_ms,
        },
        "quarantined": row.reason or None,
    }
