"""The lines of the table of routes that are about quarantine; pure."""

from schemas.api.route import RouteSpec, get, write
from schemas.json_schema import TEXT, one_of
from schemas.limits import QUARANTINE_STATES

QUARANTINE_READS: tuple[RouteSpec, ...] = (
    get(
        "/v1/quarantine",
        "admin",
        "Quarantined",
        "Records that could not be processed",
        {"reason": TEXT, "topic": TEXT, "status": one_of(*QUARANTINE_STATES)},
        listed=True,
    ),
    get("/v1/quarantine/summary", "admin", "QuarantineSummary", "Counts of records by topic, reason and state"),
    get(
        "/v1/quarantine/{id}",
        "admin",
        "QuarantinedRecord",
        "A record with its bytes, and the present outcome of a replay",
    ),
    get("/v1/quarantine/jobs/{id}", "admin", "QuarantineJob", "The result of a replay or a discard"),
)
QUARANTINE_WRITES: tuple[RouteSpec, ...] = (
    write(
        "POST",
        "/v1/quarantine/replay",
        "admin",
        "QuarantineRequest",
        {200: "QuarantineOutcome", 202: "QuarantineJob"},
        "Send records of quarantine through the pipeline again, each once; dry_run shows the outcome",
    ),
    write(
        "POST",
        "/v1/quarantine/discard",
        "admin",
        "QuarantineRequest",
        {200: "QuarantineJob", 202: "QuarantineJob"},
        "Discard records of quarantine: they stay readable until they expire",
    ),
    write(
        "POST",
        "/v1/quarantine/{id}/replay",
        "admin",
        "",
        {200: "QuarantineJob", 202: "QuarantineJob"},
        "Send a record through the pipeline again, once",
        errors={409: "Error"},
    ),
    write(
        "POST",
        "/v1/quarantine/{id}/discard",
        "admin",
        "",
        {200: "QuarantineJob", 202: "QuarantineJob"},
        "Discard a record: it stays readable until it expires",
        errors={409: "Error"},
    ),
)
