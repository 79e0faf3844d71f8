"""JSON Schemas of the answers about quarantine; pure."""

from schemas.api.json_schema import COUNT, FLAG, TEXT, TIME, WHOLE, Schema, many, maybe, one_of, record, ref
from schemas.limits import QUARANTINE_STATES

_STATE = one_of(*QUARANTINE_STATES)
_BYTES = record({"bytes": COUNT, "shown": COUNT, "text": TEXT, "hex": TEXT})
_WOULD = one_of("replay", "refuse")
_RECORD: dict[str, Schema] = {
    **dict.fromkeys(("id", "topic"), TEXT),
    **dict.fromkeys(("partition", "offset", "index"), WHOLE),
    "stage": TEXT,
    "event_id": maybe(TEXT),
    "reason": TEXT,
    "detail": TEXT,
    "at": TIME,
    "expires_at": TIME,
    "status": _STATE,
    "status_at": maybe(TIME),
    "job": maybe(TEXT),
    "replayed_to": maybe(record({"topic": TEXT, "partition": WHOLE, "offset": WHOLE})),
    "replay_of": maybe(TEXT),
    "replays": COUNT,
}
_GROUP: dict[str, Schema] = {"topic": TEXT, "reason": TEXT, "records": COUNT}
QUARANTINE_SHAPES: dict[str, Schema] = {
    "Quarantined": record(_RECORD),
    "QuarantinedRecord": record(
        {
            **_RECORD,
            "key": _BYTES,
            "payload": _BYTES,
            "truncated": FLAG,
            "replay": record({"would": _WOULD, "code": TEXT, "message": TEXT}),
        }
    ),
    "QuarantineSummary": record(
        {"data": many(record({**_GROUP, "status": _STATE, "oldest_at": TIME, "expires_at": TIME}))}
    ),
    "QuarantineJob": record(
        {
            "id": TEXT,
            "action": one_of("replay", "discard"),
            "status": one_of("pending", "done"),
            "created_at": TIME,
            "done_at": maybe(TIME),
            "replayed": COUNT,
            "discarded": COUNT,
            "refused": many(record({"code": TEXT, "records": COUNT})),
        }
    ),
    "QuarantinePlan": record(
        {
            "dry_run": FLAG,
            "matching": COUNT,
            "examined": COUNT,
            "data": many(record({**_GROUP, "would": _WOULD, "code": TEXT, "message": TEXT, "example": TEXT})),
        }
    ),
    "QuarantineOutcome": {"anyOf": [ref("QuarantineJob"), ref("QuarantinePlan")]},
}
