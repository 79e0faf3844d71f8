"""JSON Schemas of an error, and of a test environment's answers; pure."""

from schemas.api.json_schema import COUNT, TEXT, TIME, Schema, many, maybe, one_of, record, ref
from schemas.errors import STATUS

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
