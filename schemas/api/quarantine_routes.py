"""The lines of the table of routes that are about quarantine, and the shapes of their answers; pure."""

from schemas.api.route import RouteSpec, get, write
from schemas.json_schema import COUNT, FLAG, TEXT, TIME, WHOLE, Schema, many, maybe, one_of, record, ref
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
QUARANTINE_READS: tuple[RouteSpec, ...] = (
    get(
        "/v1/quarantine",
        "admin",
        "Quarantined",
        "Records that could not be processed",
        {"reason": TEXT, "topic": TEXT, "status": one_of(*QUARANTINE_STATES)},
        listed=True,
    ),
    get("/v1/quarantine/summary", "admin", "QuarantineSummary", "How many, by topic, reason and state"),
    get("/v1/quarantine/{id}", "admin", "QuarantinedRecord", "One with its bytes, and what a replay would do now"),
    get("/v1/quarantine/jobs/{id}", "admin", "QuarantineJob", "What came of a replay or a discard"),
)
QUARANTINE_WRITES: tuple[RouteSpec, ...] = (
    write(
        "POST",
        "/v1/quarantine/replay",
        "admin",
        "QuarantineRequest",
        {200: "QuarantineOutcome", 202: "QuarantineJob"},
        "Send records of quarantine through the pipeline again, each once; dry_run says what would happen now",
    ),
    write(
        "POST",
        "/v1/quarantine/discard",
        "admin",
        "QuarantineRequest",
        {200: "QuarantineJob", 202: "QuarantineJob"},
        "Say of records of quarantine that they are done with",
    ),
    write(
        "POST",
        "/v1/quarantine/{id}/replay",
        "admin",
        "",
        {200: "QuarantineJob", 202: "QuarantineJob"},
        "Send one through the pipeline again, once",
        errors={409: "Error"},
    ),
    write(
        "POST",
        "/v1/quarantine/{id}/discard",
        "admin",
        "",
        {200: "QuarantineJob", 202: "QuarantineJob"},
        "Say of one that it is done with",
        errors={409: "Error"},
    ),
)
