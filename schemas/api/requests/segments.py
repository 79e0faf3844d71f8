"""Bodies that define, edit and preview segments in; checked models out; `schemas/rules` parses the rule."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from schemas.api.requests.body import Absent, Body
from schemas.json_schema import ref
from schemas.limits import MAX_NAME

SegmentName = Annotated[str, Field(min_length=1, max_length=MAX_NAME, pattern=r"\S")]
SegmentKind = Literal["rule", "static"]
RuleBody = Annotated[Any, WithJsonSchema({"allOf": [ref("Rule")]})]
Existing = Annotated[
    bool,
    Field(description="whether webhooks receive segment.entered for contacts that match the new rule at once"),
]


class NewSegment(Body):
    """A segment of the kind ``rule`` needs a rule; a static one has a list of contacts instead."""

    name: SegmentName
    kind: SegmentKind = "rule"
    rule: Annotated[RuleBody, Absent]
    include_existing: Existing = False


class SegmentEdit(Body):
    """Fields that are absent stay as they are."""

    name: Annotated[SegmentName, Absent]
    kind: Annotated[SegmentKind, Field(description="cannot change"), Absent]
    rule: Annotated[RuleBody, Absent]
    include_existing: Annotated[Existing, Absent]


class SegmentPreview(Body):
    rule: RuleBody
