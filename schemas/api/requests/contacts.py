"""Bodies that write, list and split contacts in; checked models out; `body.py` states the form of errors."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from schemas.api.requests.body import Body, OrEmpty, Text, Time
from schemas.limits import MAX_SPLIT


class Device(BaseModel):
    """Further fields of a device are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)
    device_id: Annotated[str, Field(min_length=1, max_length=256)]


_EMPTY: dict[str, JsonValue] = {"default": []}
"""A default for the description alone. A plain default is copied for each body, three times as slow as a factory."""


class ContactEdit(Body):
    """Changes of a contact: ``null`` removes an attribute or a consent."""

    external_id: Text = None
    email: Text = None
    phone: Text = None
    anonymous_id: Text = None
    attributes: OrEmpty[Annotated[dict[str, Any], Field(max_length=1000)]] = {}
    consents: OrEmpty[Annotated[dict[str, bool | None], Field(max_length=100)]] = {}
    devices: Annotated[list[Device], Field(max_length=100)] = Field(default_factory=list, json_schema_extra=_EMPTY)
    timestamp: Time = None


class ContactUpsert(ContactEdit):
    """At least one of the identifiers."""

    id: str | None = None
    user_id: Text = None
    environment: str | None = None
    event_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The id of this write: a second write with this id changes nothing."""


MOST_LISTED = 1000
"""Contacts in one request; over it the answer is 413, as for a batch of events."""


class Listing(Body):
    """Contacts by id or ``type:value``."""

    contacts: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=600)]], Field(min_length=1, max_length=MOST_LISTED)
    ]


class IdentifierBody(Body):
    type: str
    value: str


Identifiers = Annotated[list[IdentifierBody], Field(min_length=1, max_length=MAX_SPLIT)]


class SplitRequest(Body):
    """Exactly one of: events to retract, identifiers that leave the contact, identifiers whose split ends."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})
    evidence: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=512)]], Field(min_length=1, max_length=MAX_SPLIT)
    ] = []
    identifiers: Identifiers = []
    lift: Identifiers = []
