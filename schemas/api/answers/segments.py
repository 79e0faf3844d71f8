"""The answers to requests that define, read, preview and explain segments out, as types; pure."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from schemas.api.answers.fields import Count, Moment, RuleField, Warnings, closed, words
from schemas.limits import SIZE_STEPS


@closed
class BackfillProgress(TypedDict):
    contacts_done: Count
    contacts_total: Count


@closed
class SegmentShape(TypedDict):
    id: str
    name: str
    kind: Literal["rule", "static"]
    rule: RuleField
    version: Count
    status: Literal["live", "backfilling", "disabled"]
    progress: BackfillProgress
    contacts: Count
    fresh_as_of: Moment
    created_at: Moment
    updated_at: Moment
    reason: NotRequired[str]
    warnings: NotRequired[Warnings]


@closed
class ExplainedLeaf(TypedDict):
    path: str
    met: bool
    value: Any
    threshold: Any
    events: list[str]
    truncated: NotRequired[bool]


@closed
class ExplanationShape(TypedDict):
    member: bool
    since: Moment | None
    version: Count
    leaves: list[ExplainedLeaf]
    changes_at: Moment | None


@closed
class PreviewShape(TypedDict):
    contacts: Count
    sample: list[str]
    warnings: NotRequired[Warnings]


@closed
class ParityShape(TypedDict):
    checked_at: Moment | None
    rounds: Count
    compared: Count
    differences: Count
    latest: list[dict[str, Any]]


@closed
class SizePoint(TypedDict):
    at: Moment
    contacts: Count
    entered: Count
    left: Count


@closed
class SegmentHistoryShape(TypedDict):
    interval: Annotated[str, words(*SIZE_STEPS)]
    data: list[SizePoint]


@closed
class SegmentChangeShape(TypedDict):
    contact_id: str
    change: Literal["entered", "left"]
    at: Moment
    reason: Annotated[str, Field(description="event, time, rule or restated: a change that a crash may have hidden")]
    segment_version: Count
    event_id: str | None
