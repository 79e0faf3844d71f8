"""JSON Schemas of errors, ledger, usage, traces, tests, deliveries and the live view, and its route; pure."""

from dataclasses import replace

from schemas.api.route import get
from schemas.errors import STATUS
from schemas.json_schema import (
    COUNT,
    FLAG,
    OBJECT,
    TEXT,
    TIME,
    WHOLE,
    Schema,
    many,
    maybe,
    one_of,
    record,
    ref,
    whole,
)
from schemas.limits import LIVE_STATES, MOST_LIVE_S, SIZE_STEPS
from schemas.records.deliveries import FAILED, REASONS, SUCCEEDED

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
_ATTEMPT: dict[str, Schema] = {
    **dict.fromkeys(("id", "delivery_id", "event_id", "type", "status"), TEXT),
    "contact_id": maybe(TEXT),
    "attempt": COUNT,
    "response_code": maybe(COUNT),
    "error": maybe(TEXT),
    "duration_ms": COUNT,
    "at": TIME,
    "next_attempt_at": maybe(TIME),
}
_EXCHANGE: dict[str, Schema] = {
    "request": record({"url": TEXT, "headers": OBJECT, "body": TEXT}),
    "response": record({"body": TEXT}),
}
_SIZES = ("contacts", "entered", "left")
OPERATION_SHAPES: dict[str, Schema] = {
    "ContactExport": {
        **OBJECT,
        "description": "Each line; what else it has depends on its kind.",
        "properties": {
            "kind": one_of("contact", "identity", "segment", "membership", "consent", "event", "delivery"),
        },
        "required": ["kind"],
    },
    "DeliveryAttempt": record(_ATTEMPT),
    "DeliveryDetail": record({**_ATTEMPT, **_EXCHANGE}),
    "WebhookTested": record(
        {
            **dict.fromkeys(("webhook_id", "event_id", "type"), TEXT),
            "status": one_of(SUCCEEDED, FAILED),
            "response_code": maybe(COUNT),
            "duration_ms": COUNT,
            "reason": maybe(one_of(*REASONS)),
            "error": maybe(TEXT),
            **_EXCHANGE,
        }
    ),
    "RetriesAccepted": record({"webhook_id": TEXT, "retried": COUNT, "more": FLAG}),
    "RetryAccepted": record({"delivery_id": TEXT, "webhook_id": TEXT, "status": TEXT}),
    "EventTrace": record(
        {"event_id": TEXT, "type": TEXT, "contact_id": maybe(TEXT), "steps": many(record(_STEP))},
    ),
    "SegmentHistory": record(
        {"interval": one_of(*SIZE_STEPS), "data": many(record({"at": TIME, **dict.fromkeys(_SIZES, COUNT)}))}
    ),
    "SegmentChange": record(
        {
            "contact_id": TEXT,
            "change": one_of("entered", "left"),
            "at": TIME,
            "reason": {**TEXT, "description": "event, time, rule or restated: what a crash may have hidden"},
            "segment_version": COUNT,
            "event_id": maybe(TEXT),
        }
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
_ROWS: dict[str, Schema] = {
    **dict.fromkeys(("q", "type", "contact", "source"), TEXT),
    "status": one_of(*LIVE_STATES),
    "since": {**TIME, "description": "Also what came since then, as far as it is still at hand."},
    "seconds": whole(1, MOST_LIVE_S, MOST_LIVE_S),
}
LIVE = replace(
    get(
        "/v1/live",
        "contacts:read",
        "LiveLine",
        "What comes in, as it comes: a line for each row and change",
        _ROWS,
    ),
    media="application/x-ndjson",
)
_ROW: dict[str, Schema] = {"id": TEXT, "at": TIME, "event_id": maybe(TEXT)}
_TIMES = record({name: maybe(COUNT) for name in ("accepted_ms", "resolved_ms", "judged_ms", "stored_ms")})
_MOVED = record({"id": TEXT, "name": maybe(TEXT), "change": one_of("entered", "left")})
LIVE_SHAPES: dict[str, Schema] = {
    "LiveLine": {
        "anyOf": [
            record(
                {
                    "kind": one_of("event"),
                    **_ROW,
                    **dict.fromkeys(("type", "source", "environment", "preview"), TEXT),
                    "contact_id": {**maybe(TEXT), "description": "null until the event is resolved"},
                    **dict.fromkeys(("identifiers", "warnings"), many(TEXT)),
                    "segments": many(_MOVED),
                    **dict.fromkeys(("resolved", "judged", "stored"), FLAG),
                    "times": {**_TIMES, "description": "milliseconds after the edge had it"},
                    "quarantined": {**maybe(TEXT), "description": "the reason"},
                }
            ),
            record(
                {
                    "kind": one_of("refused"),
                    **_ROW,
                    "status": COUNT,
                    "untold": COUNT,
                    **dict.fromkeys(("code", "message", "request", "source", "key", "agent"), TEXT),
                    "param": maybe(TEXT),
                    "item": {
                        **maybe(record({"type": maybe(TEXT), "taken": COUNT})),
                        "description": "of a request that was accepted; null: the whole request was refused",
                    },
                }
            ),
            record({"kind": one_of("quarantined"), **_ROW, **dict.fromkeys(("reason", "detail", "place"), TEXT)}),
            record({"kind": one_of("hidden"), "at": TIME, "rows": COUNT}),
            record({"kind": one_of("alive"), "at": TIME}),
        ]
    }
}
