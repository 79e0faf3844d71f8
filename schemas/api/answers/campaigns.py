"""The answers to requests that define, read and launch campaigns out, as types; pure."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from schemas.api.answers.fields import Count, Moment, closed, words
from schemas.limits import MESSAGE_STATES, STEPS


@closed
class MessageCounts(TypedDict):
    """Messages by what became of them, and conversions."""

    requested: Count
    sent: Count
    delivered: Count
    opened: Count
    machine_opened: Count
    clicked: Count
    machine_clicked: Count
    bounced: Count
    complained: Count
    unsubscribed: Count
    failed: Count
    conversions: Count


MESSAGE_KINDS = tuple(name for name in MessageCounts.__annotations__ if name != "conversions")


@closed
class CampaignStatsShape(MessageCounts):
    conversion_events: Count
    conversion_value: float
    bounces: dict[str, Count]
    rates: dict[str, float | None]
    contacts: NotRequired[MessageCounts]


@closed
class ConversionShape(TypedDict):
    event: str
    window: str
    value: str | None


@closed
class ConsentShape(TypedDict):
    names: list[str]
    required: Literal["given", "not_refused"]


@closed
class CapShape(TypedDict):
    messages: Count
    within: str


@closed
class VariantShape(TypedDict):
    id: str
    name: str | None
    stats: NotRequired[CampaignStatsShape]


class _CampaignFields(TypedDict):
    id: str
    number: Count
    name: str
    kind: str
    channel: str
    status: str
    conversion: ConversionShape | None
    consent: ConsentShape
    cap: CapShape | None
    launch_on_entry: Annotated[str | None, Field(description="The segment that a contact enters to be sent it.")]
    delivery: dict[str, str] | None
    trigger_url: str | None
    sent_at: Moment | None
    created_at: Moment
    updated_at: Moment


class CampaignDefinition(_CampaignFields):
    """A campaign without its figures."""

    variants: list[VariantShape]


@closed
class CampaignShape(_CampaignFields):
    stats: CampaignStatsShape
    variants: list[VariantShape]


@closed
class CampaignDeliveryShape(TypedDict):
    message_id: str | None
    contact_id: str | None
    state: Annotated[str, words(*MESSAGE_STATES)]
    variant: str | None
    channel: str | None
    requested_at: Moment | None
    sent_at: Moment | None
    delivered_at: Moment | None
    opened_at: Moment | None
    machine_opened_at: Moment | None
    clicked_at: Moment | None
    machine_clicked_at: Moment | None
    bounced_at: Moment | None
    complained_at: Moment | None
    unsubscribed_at: Moment | None
    failed_at: Moment | None
    bounce_class: str | None


class _SeriesTime(TypedDict):
    at: Moment


@closed
class SeriesPoint(_SeriesTime, MessageCounts):
    """The figures of one interval, which begins at ``at``."""


@closed
class CampaignSeriesShape(TypedDict):
    interval: Annotated[str, words(*STEPS)]
    tz: str
    data: list[SeriesPoint]


@closed
class SkippedContacts(TypedDict):
    no_address: Count
    no_consent: Count
    capped: Count
    gone: Count


LaunchStatus = Literal["running", "done", "failed"]
Total = Annotated[Count, Field(description="Contacts of the audience.")]
Launched = Annotated[Count, Field(description="Contacts that are sent a message.")]
Skipped = Annotated[SkippedContacts, Field(description="The others, by the first reason that holds.")]


@closed
class LaunchShape(TypedDict):
    id: str
    task_id: str
    campaign_id: str
    status: LaunchStatus
    audience: dict[str, Any]
    override_consent: bool
    on_entry: Annotated[bool, Field(description="Whether it counts the messages to contacts that enter the segment.")]
    total: Total
    launched: Launched
    skipped: Skipped
    created_at: Moment
    done_at: Moment | None
    reason: Annotated[str | None, Field(description="Why it failed.")]


@closed
class LaunchPlanShape(TypedDict):
    dry_run: bool
    campaign_id: str
    audience: dict[str, Any]
    total: Total
    launched: Launched
    skipped: Skipped


LaunchAnswer = LaunchShape | LaunchPlanShape
