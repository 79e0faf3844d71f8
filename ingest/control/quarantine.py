"""Bodies that replay or discard records in quarantine in, the selection of records out; pure."""

from typing import Any

from schemas.api.requests.body import checked
from schemas.api.requests.quarantine import QuarantineRequest
from schemas.control.quarantine_jobs import QuarantineFilter


def request_of(value: Any, now_ms: int) -> tuple[QuarantineFilter, bool]:
    """The filter of a body, and whether it is a dry run; raises ``ApiError`` with the path of the wrong field."""
    body = checked(QuarantineRequest, value)
    chosen = body.filter
    until_ms = chosen.until if "until" in chosen.model_fields_set else now_ms
    return (
        QuarantineFilter(
            ids=tuple(dict.fromkeys(chosen.ids)),
            reason=chosen.reason,
            topic=chosen.topic,
            since_ms=chosen.since or 0,
            # records that come into quarantine later are not part of the job
            until_ms=min(until_ms, now_ms),
        ),
        body.dry_run,
    )
