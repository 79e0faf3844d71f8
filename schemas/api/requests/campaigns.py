"""Bodies of campaigns in, checked models out; `body.py` says how one is refused."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from schemas.api.requests.body import Body, Name, OrEmpty
from schemas.times import parse_duration


def _is_own(text: str) -> str:
    if text.startswith("cmp_") or text.isdigit():
        raise ValueError("an id of your own does not begin with cmp_ and is no number, which campaigns have as well")
    return text


def _is_duration(text: str) -> str:
    if parse_duration(text) is None:
        raise ValueError("not a duration such as 12h, 7d or 2w")
    return text


class Delivery(Body):
    """Where a trigger's messages go: one of the three."""

    webhook_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+", max_length=2000)] | None = None
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")] | None = None
    """The records are on the Kafka topic ``customer.<workspace>.<topic>``."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("delivery must have one of webhook_id, url and topic")
        return self


class VariantBody(Body):
    id: Name
    name: Name


class ConversionBody(Body):
    """The goal: this event of a recipient within ``window``, a duration such as ``7d``."""

    event: Annotated[str, Field(min_length=1, max_length=256)]
    window: Annotated[str, AfterValidator(_is_duration)] = "7d"
    value: Annotated[str, Field(min_length=1, max_length=256)] | None = None


class ConsentBody(Body):
    """The consent that a contact of a launch must have.

    ``name``: its name, by default ``<channel>_marketing`` or ``<channel>``. ``required``: ``given``, or
    ``not_refused``, which lets contacts pass that never said anything; by default ``given``,
    for triggers ``not_refused``.
    """

    name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    required: Literal["given", "not_refused"] | None = None


class CapBody(Body):
    """At most so many messages of campaigns of the channel to a contact within a duration such as ``7d``."""

    messages: Annotated[int, Field(ge=1, le=1000)]
    within: Annotated[str, AfterValidator(_is_duration)]


def _differ(variants: list[VariantBody]) -> list[VariantBody]:
    if len({variant.id for variant in variants}) < len(variants):
        raise ValueError("two variants have one id")
    return variants


OwnId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$"), AfterValidator(_is_own)]
Channel = Annotated[str, Field(min_length=1, max_length=64, pattern=r"\S")]
CampaignKind = Literal["standard", "broadcast", "regular", "trigger"]
CampaignStatus = Literal["draft", "scheduled", "active", "sending", "sent", "paused", "archived"]
Variants = Annotated[list[VariantBody], Field(max_length=20), AfterValidator(_differ)]


class CampaignEdit(Body):
    name: Name | None = None
    channel: Channel | None = None
    status: CampaignStatus | None = None
    kind: CampaignKind | None = None
    delivery: Delivery | None = None
    variants: Variants | None = None
    conversion: ConversionBody | None = None
    consent: ConsentBody | None = None
    cap: CapBody | None = None
    launch_on_entry: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """A segment: each contact that enters it while the campaign is active is sent a message."""


class NewCampaign(Body):
    id: OwnId | None = None
    """The client's own id: earlier events with this campaign id belong to it. By default Headwater makes an id."""
    name: Name
    channel: Channel
    status: CampaignStatus | None = None
    kind: CampaignKind = "standard"
    delivery: Delivery | None = None
    variants: Annotated[Variants, Field(default_factory=list)]
    conversion: ConversionBody | None = None
    consent: ConsentBody | None = None
    cap: CapBody | None = None
    launch_on_entry: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """A segment: each contact that enters it while the campaign is active is sent a message."""


class NewLaunch(Body):
    """The audience of a campaign: the contacts of a segment, one contact, or the contacts that a rule finds."""

    segment: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    contact: Annotated[str, Field(min_length=1, max_length=600)] | None = None
    """An id, or ``type:value``."""
    rule: Any = None
    id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The client's own id: a second request with this id means the same launch."""
    dry_run: bool = False
    """Whether to answer with what would happen, without launching."""
    override_consent: bool = False
    """Whether consents are passed over; needs the scope ``campaigns:override_consent``."""
    content: OrEmpty[dict[str, Any]] | None = None
    """The content of the messages, delivered unchanged."""
    custom_data: OrEmpty[dict[str, Any]] | None = None
    variant: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """A variant of the campaign; by default each contact gets a variant by its id."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(part is not None for part in (self.segment, self.contact, self.rule)) != 1:
            raise ValueError('name one of segment, contact and rule, such as {"segment": "seg_..."}')
        return self
