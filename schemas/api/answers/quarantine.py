"""The answers to requests about records in quarantine out, as types; pure."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from schemas.api.answers.fields import Count, Moment, closed, words
from schemas.limits import QUARANTINE_STATES

State = Annotated[str, words(*QUARANTINE_STATES)]
Would = Literal["replay", "refuse"]


@closed
class RecordPlace(TypedDict):
    topic: str
    partition: int
    offset: int


@closed
class QuarantinedShape(TypedDict):
    id: str
    topic: str
    partition: int
    offset: int
    index: int
    stage: str
    event_id: str | None
    reason: str
    detail: str
    at: Moment
    expires_at: Moment
    status: State
    status_at: Moment | None
    job: str | None
    replayed_to: RecordPlace | None
    replay_of: str | None
    replays: Count


@closed
class ShownBytes(TypedDict):
    """The length of the bytes, and how many of them are shown."""

    bytes: Count
    shown: Count
    text: str
    hex: str


@closed
class ReplayDecision(TypedDict):
    """The present outcome of a replay, and its reason."""

    would: Would
    code: str
    message: str


@closed
class QuarantinedRecordShape(QuarantinedShape):
    key: ShownBytes
    payload: ShownBytes
    truncated: bool
    replay: ReplayDecision


class _GroupKey(TypedDict):
    topic: str
    reason: str
    records: Count


@closed
class QuarantineGroup(_GroupKey):
    status: State
    oldest_at: Moment
    expires_at: Moment


@closed
class QuarantineSummaryShape(TypedDict):
    data: list[QuarantineGroup]


@closed
class RefusalCount(TypedDict):
    code: str
    records: Count


@closed
class QuarantineJobShape(TypedDict):
    id: str
    action: Literal["replay", "discard"]
    status: Literal["pending", "done"]
    created_at: Moment
    done_at: Moment | None
    replayed: Count
    discarded: Count
    refused: list[RefusalCount]


@closed
class PlannedGroup(_GroupKey):
    would: Would
    code: str
    message: str
    example: str


@closed
class QuarantinePlanShape(TypedDict):
    dry_run: bool
    matching: Count
    examined: Count
    data: list[PlannedGroup]


QuarantineOutcome = QuarantineJobShape | QuarantinePlanShape
