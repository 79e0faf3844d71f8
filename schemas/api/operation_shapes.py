"""JSON Schemas of the answers of ledger, usage and traces, of an error, and of a test environment's answers; pure."""

from schemas.api.json_schema import COUNT, OBJECT, TEXT, TIME, WHOLE, Schema, many, maybe, one_of, record, ref
from schemas.errors import STATUS

_LEDGER: dict[str, Schema] = {
    **dict.fromkeys(("accepted", "stored", "duplicate", "quarantined", "suppressed"), COUNT),
    "residual": {**WHOLE, "description": "Accepted and nowhere; below 0: somewhere and never accepted."},
}
_DAY: dict[str, Schema] = {"date": TEXT, "environment": TEXT, "events": COUNT, "duplicates": COUNT}
_STEP: dict[str, Schema] = {
    "step": {
        **one_of(
            *("request", "received", "resolved", "merged", "refused"),
            *("changed", "consent", "stored", "repeated", "delivered"),
        ),
        "description": "Those that it has taken, in the order of the pipeline.",
    },
    "at": {**maybe(TIME), "description": "null where Kafka, which keeps records for seven days, does not say."},
    "place": maybe(record({"topic": TEXT, **dict.fromkeys(("partition", "offset", "index"), WHOLE)})),
    "detail": {**OBJECT, "description": "What was decided, and by what."},
}
OPERATION_SHAPES: dict[str, Schema] = {
    "ContactExport": {
        **OBJECT,
        "description": "Each line; what else it has depends on its kind.",
        "properties": {
            "kind": one_of("contact", "identity", "segment", "membership", "consent", "event", "delivery"),
        },
        "required": ["kind"],
    },
    "EventTrace": record(
        {"event_id": TEXT, "type": TEXT, "contact_id": maybe(TEXT), "steps": many(record(_STEP))},
    ),
    "Usage": record(
        {
            "since": TIME,
            "data": many(record(_DAY)),
            "contacts": many(record({"environment": TEXT, "contacts": COUNT})),
            "totals": record(dict.fromkeys(("events", "duplicates", "contacts"), COUNT)),
        }
    ),
    "Ledger": record(
        {
            "data": many(record({"minute": TIME, "source": TEXT, **_LEDGER})),
            "totals": record(_LEDGER),
            "settled_before": {**TIME, "description": "Minutes that ended before have a residual of 0."},
        }
    ),
}
PROBLEM = record({"code": one_of(*STATUS), "message": TEXT}, {"param": TEXT, "request_id": TEXT})
TRIAL_SHAPES: dict[str, Schema] = {
    "TestGood": record({"data": many(ref("StoredEvent")), "total": COUNT, "since": TIME}),
    "TestBad": record(
        {
            "data": many(
                record({"at": TIME, "path": TEXT, "source": TEXT, "type": maybe(TEXT), "error": PROBLEM, "body": TEXT})
            ),
            "total": COUNT,
            "since": TIME,
        }
    ),
    "TestCounts": record({"good": COUNT, "bad": COUNT, "total": COUNT, "since": TIME}),
    "TestReset": record({"since": TIME}),
}
