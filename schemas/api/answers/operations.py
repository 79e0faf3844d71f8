"""The answers to requests about health, usage, the ledger and the API itself out, as types; pure."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from schemas.api.answers.fields import Count, Moment, closed

open_ended = with_config(ConfigDict(extra="allow"))


@closed
class ComponentHealth(TypedDict):
    state: str
    reason: NotRequired[str]


@closed
class HealthShape(TypedDict):
    status: Literal["live", "ready", "degraded", "unavailable"]
    events: NotRequired[bool]
    reads: NotRequired[bool]
    components: NotRequired[dict[str, ComponentHealth]]


@closed
class UsageDay(TypedDict):
    date: str
    environment: str
    events: Count
    duplicates: Count


@closed
class ContactCount(TypedDict):
    environment: str
    contacts: Count


@closed
class UsageTotals(TypedDict):
    events: Count
    duplicates: Count
    contacts: Count


@closed
class UsageShape(TypedDict):
    since: Moment
    data: list[UsageDay]
    contacts: list[ContactCount]
    totals: UsageTotals


@closed
class LedgerTotals(TypedDict):
    accepted: Count
    stored: Count
    duplicate: Count
    quarantined: Count
    suppressed: Count
    residual: Annotated[int, Field(description="Accepted and nowhere; below 0: somewhere and never accepted.")]


class _LedgerKey(TypedDict):
    minute: Moment
    source: str


@closed
class LedgerMinute(_LedgerKey, LedgerTotals):
    """The counts of one minute and source."""


@closed
class LedgerShape(TypedDict):
    data: list[LedgerMinute]
    totals: LedgerTotals
    settled_before: Annotated[Moment, Field(description="Minutes that ended before have a residual of 0.")]


@open_ended
class DocumentShape(TypedDict):
    openapi: Any
    paths: Any


@open_ended
class GraphQLAnswerShape(TypedDict, total=False):
    data: dict[str, Any] | None
    errors: list[dict[str, Any]]
