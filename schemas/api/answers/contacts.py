"""The answers to requests that write, read, split and erase contacts out, as types; pure."""

from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from schemas.api.answers.events import RefusedEntry, SegmentChanges
from schemas.api.answers.fields import Count, ErrorShape, Moment, Pair, Problem, Warnings, closed


@closed
class ContactShape(TypedDict):
    id: str
    email: str | None
    phone: str | None
    external_id: str | None
    anonymous_ids: list[str]
    attributes: dict[str, Any]
    consents: dict[str, bool | None]
    devices: Any
    segments: list[str]
    created_at: Moment
    updated_at: Moment


@closed
class ContactWrittenShape(ContactShape):
    warnings: NotRequired[Warnings]
    segment_changes: NotRequired[SegmentChanges]


@closed
class AcceptedContact(TypedDict):
    index: Count
    id: str
    warnings: NotRequired[Warnings]


@closed
class ContactsShape(TypedDict):
    accepted: Count
    rejected: Count
    results: list[AcceptedContact | RefusedEntry]


@closed
class ContactsTakenShape(ContactsShape):
    task_id: str
    segment_changes: NotRequired[SegmentChanges]


@closed
class ContactsErrorShape(ContactsShape):
    error: Problem


ContactsRefused = ContactsErrorShape | ErrorShape


@closed
class ContactLaterShape(TypedDict):
    task_id: str
    id: str


@closed
class ContactSegmentShape(TypedDict):
    id: str
    since: Moment
    version: Count
    name: str


@closed
class ContactConsentShape(TypedDict):
    consent: str
    value: bool | None
    at: Moment
    event_id: str


@closed
class ErasedStore(TypedDict):
    store: str
    status: Literal["pending", "expiring", "done"]
    at: Moment | None


@closed
class ErasureShape(TypedDict):
    id: str
    status: Literal["pending", "done"]
    created_at: Moment
    stores: list[ErasedStore]


Evidence = TypedDict("Evidence", {"event_id": str, "kind": str, "at": Moment, "with": Pair | None})
MergeShape = TypedDict("MergeShape", {"from": str, "into": str, "at": Moment, "event_id": str})
closed(Evidence)
closed(MergeShape)


@closed
class IdentifierEvidence(TypedDict):
    type: str
    value: str
    since: Moment
    evidence: list[Evidence]


@closed
class RefusedLink(TypedDict):
    type: str
    value: str
    reason: str
    event_id: str
    at: Moment


@closed
class Separation(TypedDict):
    """An identifier of the contact, an identifier that a split keeps from it, and since when."""

    a: Pair
    b: Pair
    at: Moment


@closed
class ContactIdentityShape(TypedDict):
    contact_id: str
    identifiers: list[IdentifierEvidence]
    merges: list[MergeShape]
    refused: list[RefusedLink]
    separated: list[Separation]


@closed
class TieShape(TypedDict):
    event_id: str
    a: Pair
    b: Pair


@closed
class ContactTiesShape(TypedDict):
    contact_id: str
    members: list[str]
    settled: bool
    ties: list[TieShape]
    separated: list[Separation]


@closed
class ListedShape(TypedDict):
    id: str
    contacts: Count
    unknown: list[str]
    task_id: NotRequired[str]


@closed
class SplitDoneShape(TypedDict):
    contacts: list[str]


@with_config(ConfigDict(extra="allow"))
class ContactExportShape(TypedDict):
    """A line of the export; its other fields depend on its kind."""

    kind: Literal["contact", "identity", "segment", "membership", "consent", "event", "delivery"]
