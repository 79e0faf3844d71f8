"""Bodies that replay or discard records in quarantine in; checked models out."""

from typing import Annotated

from pydantic import AfterValidator, Field

from schemas.api.requests.body import Absent, Body, Instant
from schemas.control.quarantine_jobs import place_of
from schemas.limits import MAX_NAME, MAX_QUARANTINE_IDS


def _is_id(text: str) -> str:
    if place_of(text) is None:
        raise ValueError("an id is topic:partition:offset:index")
    return text


RecordId = Annotated[str, AfterValidator(_is_id)]
Came = Annotated[Instant, Field(description="when it came into quarantine")]


class RecordFilter(Body):
    """Which records; a filter without fields takes every record."""

    ids: Annotated[list[RecordId], Field(max_length=MAX_QUARANTINE_IDS)] = []
    reason: Annotated[str, Field(max_length=MAX_NAME)] = ""
    topic: Annotated[str, Field(max_length=MAX_NAME)] = ""
    since: Annotated[Came, Absent]
    until: Annotated[Came, Absent]


class QuarantineRequest(Body):
    filter: Annotated[RecordFilter, Field(description="{} takes every record")]
    dry_run: bool = False
