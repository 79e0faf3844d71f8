"""Paging in; quarantined records, newest first and without their payload, out."""

from typing import Any

from schemas.times import iso
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, listing

_PAGE = """
SELECT topic, `partition`, `offset`, `index`, event_id, reason, detail, toUnixTimestamp64Milli(at) AS at_ms,
    concat(topic, ':', toString(`partition`), ':', toString(`offset`), ':', toString(`index`)) AS id
FROM quarantine FINAL
WHERE (workspace = {workspace:String} OR ({all:UInt8} AND workspace = ''))
    AND (toUnixTimestamp64Milli(at), id) < ({before_ms:Int64}, {before_id:String})
ORDER BY at DESC, id DESC
LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""
_COUNT = """
SELECT count() AS total FROM quarantine FINAL
WHERE workspace = {workspace:String} OR ({all:UInt8} AND workspace = '')
"""
LATEST = 9_000_000_000_000_000


async def quarantined(reader: ClickHouseReader, workspace: str, paging: Paging, *, unowned: bool) -> dict[str, Any]:
    """``unowned``: also records that do not say whose they are; for who runs the instance."""
    before_ms, before_id = paging.cursor_of(int, str) or (LATEST, "")
    rows = await reader.rows(
        _PAGE,
        workspace=workspace,
        all=int(unowned),
        before_ms=before_ms,
        before_id=before_id,
        limit=paging.wanted,
        offset=paging.offset,
    )
    total = 0
    if paging.after is None:
        total = (await reader.rows(_COUNT, workspace=workspace, all=int(unowned)))[0]["total"]
    return listing(paging, [_shape(row) for row in rows], total, [(row["at_ms"], row["id"]) for row in rows])


def _shape(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("id", "topic", "partition", "offset", "index")},
        "event_id": row["event_id"] or None,
        "reason": row["reason"],
        "detail": row["detail"],
        "at": iso(row["at_ms"]),
    }
