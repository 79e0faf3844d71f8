"""A line of the live stream out, as a type: rows by their kind; pure."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from schemas.api.answers.fields import Count, Moment, closed, words
from schemas.limits import GAPS


class _LiveRow(TypedDict):
    id: str
    at: Moment
    event_id: str | None


@closed
class LiveTimes(TypedDict):
    accepted_ms: Count | None
    resolved_ms: Count | None
    judged_ms: Count | None
    stored_ms: Count | None


@closed
class SegmentMove(TypedDict):
    id: str
    name: str | None
    change: Literal["entered", "left"]


@closed
class LiveEvent(_LiveRow):
    kind: Literal["event"]
    type: str
    source: str
    key: str
    environment: str
    preview: str
    contact_id: Annotated[str | None, Field(description="null until the event is resolved")]
    identifiers: list[str]
    warnings: list[str]
    segments: list[SegmentMove]
    resolved: bool
    judged: bool
    stored: bool
    duplicate: Annotated[bool, Field(description="the same event came before: it counts once")]
    conflict: Annotated[bool, Field(description="and said something else then")]
    times: Annotated[LiveTimes, Field(description="milliseconds after the edge had it")]
    quarantined: Annotated[str | None, Field(description="the reason")]


@closed
class LiveRefusedItem(TypedDict):
    type: str | None
    taken: Count


@closed
class LiveRefused(_LiveRow):
    kind: Literal["refused"]
    status: Count
    untold: Count
    code: str
    message: str
    request: str
    source: str
    key: str
    agent: str
    param: str | None
    item: Annotated[
        LiveRefusedItem | None,
        Field(description="of a request that was accepted; null: the whole request was refused"),
    ]


@closed
class LiveQuarantined(_LiveRow):
    kind: Literal["quarantined"]
    reason: str
    detail: str
    place: str


@closed
class LiveHidden(TypedDict):
    kind: Literal["hidden"]
    at: Moment
    rows: Count


@closed
class LiveGap(TypedDict):
    kind: Literal["gap"]
    at: Moment
    reason: Annotated[
        str,
        words(*GAPS),
        Field(description="behind: rows between since and now may be missing; busy: more comes than is looked at"),
    ]


@closed
class LiveAlive(TypedDict):
    kind: Literal["alive"]
    at: Moment


LiveLine = LiveEvent | LiveRefused | LiveQuarantined | LiveHidden | LiveGap | LiveAlive
