"""Nothing in; the shapes of what is counted, as JSON Schemas, out; pure."""

from schemas.api.json_schema import COUNT, TEXT, TIME, WHOLE, Schema, many, record

_LEDGER: dict[str, Schema] = {
    **dict.fromkeys(("accepted", "stored", "duplicate", "quarantined", "suppressed"), COUNT),
    "residual": {**WHOLE, "description": "Accepted and nowhere; below 0: somewhere and never accepted."},
}
_DAY: dict[str, Schema] = {"date": TEXT, "environment": TEXT, "events": COUNT, "duplicates": COUNT}
OPERATION_SHAPES: dict[str, Schema] = {
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
