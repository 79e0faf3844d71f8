"""The answers to requests that send and read events out, as types; pure."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from schemas.api.answers.fields import Count, ErrorShape, Moment, Problem, Warnings, closed


@closed
class SegmentChanges(TypedDict):
    """Ids of the segments that contacts entered and left by this request."""

    entered: list[str]
    left: list[str]


@closed
class EventAcceptedShape(TypedDict):
    event_id: str
    contact_id: str
    received_at: Moment
    warnings: NotRequired[Warnings]
    task_id: NotRequired[str]
    segment_changes: NotRequired[SegmentChanges]


@closed
class AcceptedEntry(TypedDict):
    index: Count
    event_id: str
    contact_id: str
    warnings: NotRequired[Warnings]


@closed
class RefusedEntry(TypedDict):
    index: Count
    error: Problem


@closed
class BatchShape(TypedDict):
    accepted: Count
    rejected: Count
    results: list[AcceptedEntry | RefusedEntry]


@closed
class BatchAcceptedShape(BatchShape):
    task_id: NotRequired[str]
    segment_changes: NotRequired[SegmentChanges]


@closed
class BatchErrorShape(BatchShape):
    error: Problem


BatchRefused = BatchErrorShape | ErrorShape


@closed
class TaskProgress(TypedDict):
    total: Count
    done: Count


@closed
class TaskEvent(TypedDict):
    event_id: str
    disposition: str
    reason: str | None


TaskStatus = Literal["pending", "completed", "failed"]


@closed
class TaskShape(TypedDict):
    task_id: str
    status: TaskStatus
    progress: TaskProgress
    events: list[TaskEvent]


@closed
class EventFields(TypedDict):
    event_id: str
    type: str
    timestamp: Moment
    received_at: Moment
    properties: dict[str, Any]
    context: dict[str, Any] | None
    campaign_id: str | None
    message_id: str | None
    variant: str | None
    channel: str | None
    source: str | None
    identifiers: list[Any]


@closed
class ContactEventShape(EventFields):
    contact_id: str


@closed
class StoredEventShape(EventFields):
    contact_id: str | None
    warnings: Warnings


@closed
class PropertyShare(TypedDict):
    """A property's name, and the share of the events that have it."""

    name: str
    share: float


@closed
class EventTypeShape(TypedDict):
    type: str
    events: Count
    first_seen: Moment
    last_seen: Moment
    properties: list[PropertyShare]


@closed
class TypedColumnShape(TypedDict):
    property: str
    type: Literal["string", "number", "boolean", "time"]
    column: Annotated[str, Field(description="As SQL names it, in events and events_resolved.")]
    status: Annotated[
        Literal["filling", "ready"],
        Field(description="Ready: all stored events have it. A PUT answers filling in any case; a GET tells."),
    ]
    created_at: Moment
    filled_at: Moment | None


@closed
class LogPlace(TypedDict):
    topic: str
    partition: int
    offset: int
    index: int


Step = Literal[
    "request",
    "received",
    "resolved",
    "merged",
    "refused",
    "changed",
    "consent",
    "stored",
    "repeated",
    "delivered",
]
"""Steps of an event's way through the pipeline, in order."""


@closed
class EventStep(TypedDict):
    step: Annotated[
        Step,
        Field(description="Steps that the event has taken, in the order of the pipeline."),
    ]
    at: Annotated[
        Moment | None,
        Field(description="null where Kafka, which keeps records for seven days, does not say."),
    ]
    place: LogPlace | None
    detail: Annotated[dict[str, Any], Field(description="What was decided, and by what.")]


@closed
class EventTraceShape(TypedDict):
    event_id: str
    type: str
    contact_id: str | None
    steps: list[EventStep]
