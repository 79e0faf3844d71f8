"""The answers to requests about keys, environments and workspaces out, as types; pure."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from schemas.api.answers.events import StoredEventShape
from schemas.api.answers.fields import Count, Moment, Problem, closed, words
from schemas.control.definitions import SCOPES


@closed
class KeyShape(TypedDict):
    id: str
    name: str
    kind: Literal["secret", "public"]
    scopes: list[Annotated[str, words(*SCOPES)]]
    environment: str
    rate_limit: Count | None
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None


@closed
class KeyMadeShape(KeyShape):
    key: str


@closed
class EnvironmentShape(TypedDict):
    id: str
    number: Count
    kind: Literal["live", "test"]
    created_at: Moment


@closed
class KeptDays(TypedDict):
    events_days: Count | None
    deliveries_days: Count | None


@closed
class WorkspaceShape(TypedDict):
    id: str
    name: str
    allowed_origins: list[str]
    limits: dict[str, Count]
    link_devices: bool
    link_emails: bool
    link_phones: bool
    retention: KeptDays
    created_at: Moment


@closed
class WorkspaceMadeShape(WorkspaceShape):
    environments: list[EnvironmentShape]
    key: KeyMadeShape


@closed
class TestGoodShape(TypedDict):
    data: list[StoredEventShape]
    total: Count
    since: Moment


@closed
class RejectedRequest(TypedDict):
    at: Moment
    path: str
    source: str
    type: str | None
    error: Problem
    body: str


@closed
class TestBadShape(TypedDict):
    data: list[RejectedRequest]
    total: Count
    since: Moment


@closed
class TestCountsShape(TypedDict):
    good: Count
    bad: Count
    total: Count
    since: Moment


@closed
class TestResetShape(TypedDict):
    since: Moment
