"""Values in; a workspace's definitions as checked, frozen records of the `control` topic out; pure."""

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.control.sealing import Secret
from schemas.control.value_lists import digest_of
from schemas.records import identity
from schemas.rules.nodes import ListValues, Scalar

SCOPES = (
    "contacts:read",
    "contacts:write",
    "events:ingest",
    "campaigns:read",
    "campaigns:write",
    "campaigns:override_consent",
    "segments:read",
    "segments:write",
    "webhooks:read",
    "webhooks:write",
    "admin",
    "instance",
)
PUBLIC_SCOPES = ("events:ingest",)
SegmentStatus = Literal["live", "backfilling", "disabled"]


class ControlRecord(BaseModel):
    """The fields of every control record; ``extra`` is refused so that a typo in a producer shows at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    workspace: str
    created_ms: int
    deleted: bool = False


class Workspace(ControlRecord):
    """``limits`` are the workspace's own values for ``schemas.records.identity.LIMITS``."""

    name: str
    allowed_origins: tuple[str, ...] = ("*",)
    """Origins of the pages that may use a public key in a browser."""
    limits: dict[str, int] = {}
    link_devices: bool = False
    """Whether a device id ties contacts together like any other identifier."""
    link_emails: bool = True
    """Whether an e-mail address ties contacts together; a family or a shop's desk may share one."""
    link_phones: bool = True
    retention: dict[str, Annotated[int, Field(ge=1)]] = {}
    """Days to keep rows, by the names of ``KEPT_DAYS``; without an entry events are kept for ever."""

    @property
    def apart(self) -> frozenset[str]:
        """The types of identifiers that tie no contacts together."""
        if self.link_emails and self.link_phones and not self.link_devices:
            return identity.APART
        switches = {
            identity.DEVICE_ID: self.link_devices,
            identity.EMAIL: self.link_emails,
            identity.PHONE: self.link_phones,
        }
        return frozenset(kind for kind, links in switches.items() if not links)


class Environment(ControlRecord):
    """``id`` is the slug, ``number`` the place in order of creation (1 = production)."""

    number: int
    kind: Literal["live", "test"] = "live"
    """A test environment keeps refused requests for a while, and can reset its counts."""
    reset_ms: int = 0
    """Since when a test environment counts."""


class ApiKey(ControlRecord):
    """Only the SHA-256 of the key is kept."""

    name: str
    kind: Literal["secret", "public"]
    scopes: tuple[str, ...]
    environment: str
    sha256: str
    expires_ms: int | None = None
    rate_limit: int | None = None
    """Requests a second at each edge; ``None``: the value of the setting."""

    def is_valid(self, now_ms: int) -> bool:
        return not self.deleted and (self.expires_ms is None or now_ms < self.expires_ms)


class KeyUse(ControlRecord):
    """When a key was last seen; ``id`` is the key's."""

    used_ms: int


class Segment(ControlRecord):
    """``rule`` as it was written, of kind ``static`` that of its list; ``version`` grows with each edit."""

    environment: str
    name: str
    kind: Literal["rule", "static"] = "rule"
    rule: Any
    version: int
    include_existing: bool = False
    """Whether webhooks receive ``segment.entered`` for contacts that match a new or edited rule at once."""
    updated_ms: int


class ValueList(ControlRecord):
    """A named list, which rules refer to by its name; ``id`` is ``<environment>/<name>``, so a name occurs once.

    ``values`` are as ``schemas.control.value_lists.ordered`` has them; ``version`` grows where they change.
    """

    environment: str
    name: str
    description: str = ""
    values: tuple[Scalar, ...] = ()
    version: int
    updated_ms: int

    @cached_property
    def content(self) -> ListValues:
        """The list's content in the form that rules use."""
        return ListValues(name=self.name, digest=digest_of(self.values), values=self.values)


class SegmentProgress(ControlRecord):
    """How far one partition has come with a version of a segment; ``id`` is ``<segment>.<partition>``."""

    segment: str
    partition: int
    version: int
    lists: str = Field("", exclude_if=lambda stamp: not stamp)
    """The stamp (``list_users.stamp_of``) of the named lists that the segment depends on.

    Left out without such lists, so that earlier versions can read the record.
    """
    state: SegmentStatus
    done: int = 0
    total: int = 0
    """Contacts whose history has been read, and has to be."""
    reason: str = ""


class Webhook(ControlRecord):
    """An endpoint that receives notifications. Its secrets are kept to sign with; no ``repr`` shows them."""

    environment: str
    url: str
    types: tuple[str, ...]
    segments: tuple[str, ...] = ()
    """Segments whose ``segment.entered`` and ``segment.left`` it receives; empty: all segments."""
    secret: Secret = Field(repr=False)
    previous_secret: Secret = Field("", repr=False)
    previous_until_ms: int = 0
    status: Literal["enabled", "disabled"] = "enabled"
    reason: str = ""
    """Why Headwater disabled it; empty where its owner did."""
    campaign: str = ""
    """The campaign that it was made for; it has no types then."""
    updated_ms: int

    def secrets(self, now_ms: int) -> tuple[str, ...]:
        """The valid secrets, the newest first."""
        return (self.secret, self.previous_secret) if now_ms < self.previous_until_ms else (self.secret,)


class Variant(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    name: str


class Conversion(BaseModel):
    """The goal of a campaign: this event of its recipient within ``window`` (``7d``) of the message."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    event: str
    window: str
    value: str | None = None
    """Name of the property to sum."""


class NeededConsent(BaseModel):
    """The consent that a campaign's recipients need; an empty field means the default of the channel or the kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str | None = None
    required: Literal["given", "not_refused"] | None = None


class Cap(BaseModel):
    """A contact that was sent ``messages`` by campaigns of the channel ``within`` (``7d``) gets no further one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    messages: int
    within: str


class Campaign(ControlRecord):
    """``number`` is its place in order of creation; ``trigger`` is the hex part of its launch link, or empty."""

    environment: str
    name: str
    kind: str = "standard"
    channel: str
    status: str
    number: int
    trigger: str = ""
    delivery: dict[str, Any] | None = None
    """Where a trigger's messages go: ``webhook_id``, ``url`` or ``topic``."""
    variants: tuple[Variant, ...] = ()
    conversion: Conversion | None = None
    consent: NeededConsent | None = None
    cap: Cap | None = None
    launch_on_entry: str = ""
    """The segment that a contact enters to be sent a message of it."""
    entry_since_ms: int = 0
    sent_ms: int | None = None
    updated_ms: int


class Receiver(ControlRecord):
    """The address for a provider's delivery reports. Its secret is kept to verify with; no ``repr`` shows it."""

    environment: str
    provider: str
    secret: Secret = Field("", repr=False)
    """A signing secret or a public key, as the provider has it."""
    topic_arn: str = ""
    consent: str = ""
    """The consent's name as the client set it; may be empty."""

    @property
    def ended_consent(self) -> str:
        """The consent that an unsubscribe or a complaint at the provider ends."""
        return self.consent or ("sms_marketing" if self.provider == "twilio" else "email_marketing")


class TypedColumn(ControlRecord):
    """A property of events that is a typed column; ``id`` is ``<environment>.<property>``."""

    environment: str
    property: str
    type: Literal["string", "number", "boolean", "time"]


class Erasure(ControlRecord):
    """Erased contacts, by their own contact ids: hashes, so that the record holds no personal data."""

    environment: str
    contacts: tuple[str, ...]
    erased_ms: int
    """Their events received until then are erased."""
    open: bool = False
    """Its contacts are not all known yet: earlier acknowledged events are still on their way to identity."""


class ErasureStep(ControlRecord):
    """A store finished an erasure at ``created_ms``; ``id`` is ``<erasure>.<store>.<partition>``."""

    erasure: str
    store: str
    partition: int
