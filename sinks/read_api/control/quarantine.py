"""A workspace in; its records in quarantine, their outcomes, and the effect of a replay now, out."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from schemas.api.answers.fields import Page
from schemas.api.answers.quarantine import (
    QuarantinedRecordShape,
    QuarantinedShape,
    QuarantinePlanShape,
    QuarantineSummaryShape,
    RecordPlace,
    ShownBytes,
    Would,
)
from schemas.control.erasure import Erased
from schemas.control.quarantine_jobs import QuarantineFilter, place_of
from schemas.errors import ApiError
from schemas.limits import QUARANTINE_STATES
from schemas.service import clock
from schemas.times import DAY_MS, iso
from sinks.quarantine import entries
from sinks.quarantine.decision import is_cut, judge, stage_of
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, listing

KEPT_MS = 30 * DAY_MS
"""As the table's TTL has it."""
SHOWN = 65_536
"""Bytes of a payload in an answer."""
MOST_JUDGED, MOST_JUDGED_BYTES, AT_ONCE = 500, 16 << 20, 10
"""Of a dry run, and of one of its queries."""


class QuarantineReader:
    """``unowned``: also records without a readable workspace; for the instance's operator."""

    def __init__(self, reader: ClickHouseReader, workspace: str, *, unowned: bool) -> None:
        self._reader = reader
        self._workspace = workspace
        self._unowned = unowned

    async def page(self, query: Mapping[str, str], paging: Paging) -> Page[QuarantinedShape]:
        """Newest first, without their bytes."""
        state = query.get("status", "")
        if state and state not in QUARANTINE_STATES:
            raise ApiError("invalid_field", f"status must be one of {', '.join(QUARANTINE_STATES)}", "status")
        chosen = _filter(reason=query.get("reason", ""), topic=query.get("topic", ""))
        before_ms, before_id = paging.cursor_of(int, str) or (entries.LATEST_MS, "")
        rows = await self._rows(
            entries.LIST,
            chosen,
            outcome=state,
            before_ms=before_ms,
            before_id=before_id,
            limit=paging.fetch_limit,
            skip=paging.offset,
        )
        total = 0
        if paging.after is None:
            counts = await self._rows(entries.COUNTS, chosen)
            total = sum(row["records"] for row in counts if state in ("", row["state"]))
        return listing(paging, [_shape(row) for row in rows], total, [(row["at_ms"], row["id"]) for row in rows])

    async def summary(self) -> QuarantineSummaryShape:
        """How many by topic, reason and state."""
        rows = await self._rows(entries.COUNTS, _filter())
        return {
            "data": [
                {
                    "topic": row["topic"],
                    "reason": row["reason"],
                    "status": row["state"],
                    "records": row["records"],
                    "oldest_at": iso(row["oldest_ms"]),
                    "expires_at": iso(row["oldest_ms"] + KEPT_MS),
                }
                for row in rows
            ]
        }

    async def record(self, record_id: str, erased: Erased) -> QuarantinedRecordShape:
        """A record with its bytes, and the effect of a replay now; raises ``ApiError`` (404)."""
        if place_of(record_id) is None:
            raise ApiError("not_found", "no such record in quarantine; an id is topic:partition:offset:index")
        rows = await self._rows(entries.ONE, _filter(ids=(record_id,)))
        if not rows:
            raise ApiError("not_found", "no such record in quarantine")
        entry = entries.entry_of(rows[0])
        verdict = judge(entry, erased, self._reader.partitions)
        return {
            **_shape(rows[0]),
            "key": _bytes(entry.key, len(entry.key)),
            "payload": _bytes(entry.payload, SHOWN),
            "truncated": is_cut(len(entry.payload)),
            "replay": {"would": verdict.action, "code": verdict.code, "message": verdict.message},
        }

    async def plan(self, chosen: QuarantineFilter, erased: Erased) -> QuarantinePlanShape:
        """The effect of replaying the open ones among them now, the oldest first: of as many as fit a request."""
        counts = await self._rows(entries.COUNTS, chosen)
        matching = sum(row["records"] for row in counts if row["state"] == "open")
        ids = await self._rows(entries.OPEN_IDS, chosen, after_ms=0, after_id="", limit=MOST_JUDGED)
        groups: Counter[tuple[str, str, Would, str]] = Counter()
        examples: dict[tuple[str, str, Would, str], tuple[str, str]] = {}
        size = examined = 0
        for at in range(0, len(ids), AT_ONCE):
            if size > MOST_JUDGED_BYTES:
                break
            some = tuple(row["id"] for row in ids[at : at + AT_ONCE])
            for row in await self._rows(entries.ONE, chosen.model_copy(update={"ids": some})):
                entry = entries.entry_of(row)
                verdict = judge(entry, erased, self._reader.partitions)
                group = (row["topic"], row["reason"], verdict.action, verdict.code)
                groups[group] += 1
                examples.setdefault(group, (row["id"], verdict.message))
                size += len(entry.payload)
                examined += 1
        return {
            "dry_run": True,
            "matching": matching,
            "examined": examined,
            "data": [
                {
                    "topic": topic,
                    "reason": reason,
                    "would": would,
                    "code": code,
                    "records": count,
                    "example": examples[group][0],
                    "message": examples[group][1],
                }
                for group, count in groups.most_common()
                for topic, reason, would, code in (group,)
            ],
        }

    async def _rows(self, sql: str, chosen: QuarantineFilter, **more: Any) -> list[dict[str, Any]]:
        parameters = entries.parameters(chosen, self._workspace, unowned=self._unowned)
        return await self._reader.rows(sql, **parameters, **more)


def _filter(**more: Any) -> QuarantineFilter:
    # the clock of the stage that wrote it may be ahead
    return QuarantineFilter(until_ms=clock.now_ms() + DAY_MS, **more)


def _shape(row: dict[str, Any]) -> QuarantinedShape:
    is_done = row["outcome"] in QUARANTINE_STATES
    return {
        "id": row["id"],
        "topic": row["topic"],
        "partition": row["partition"],
        "offset": row["offset"],
        "index": row["index"],
        "stage": stage_of(row["topic"], row["reason"]),
        "event_id": row["event_id"] or None,
        "reason": row["reason"],
        "detail": row["detail"],
        "at": iso(row["at_ms"]),
        "expires_at": iso(row["at_ms"] + KEPT_MS),
        "status": row["outcome"] if is_done else "open",
        "status_at": iso(row["done_ms"]) if is_done else None,
        "job": row["job"] if is_done else None,
        "replayed_to": _place(row) if row["outcome"] == "replayed" else None,
        "replay_of": row["replay_of"] or None,
        "replays": row["replays"],
    }


def _place(row: dict[str, Any]) -> RecordPlace:
    return {"topic": row["topic"], "partition": row["replay_partition"], "offset": row["replay_offset"]}


def _bytes(value: bytes, most: int) -> ShownBytes:
    """Bytes that are not UTF-8 show as replacement characters; the hex digits are exact."""
    shown = value[:most]
    return {"bytes": len(value), "shown": len(shown), "text": shown.decode("utf-8", "replace"), "hex": shown.hex()}
