"""A validated body about a contact in, its raw event out; ``ApiError`` if the contact would be too large; pure.

A contact is what its events say, so a write is an event like any other: it is stored, replayed and repeated as such.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ingest.events.raw import RawEvent
from schemas.api.requests import ContactEdit, ContactUpsert
from schemas.errors import ApiError
from schemas.records import identity
from schemas.records.records import CONTACT, CONTACT_TYPE, Event, Identifier
from schemas.times import iso
from schemas.warning import warning

FOUND = "/internal/contacts/found"
WRITTEN = "/internal/contacts/written"
"""Paths of the read API that only the edge asks; they show no more than the key may read and write."""
MOST_ATTRIBUTES = 1000
MOST_BYTES = 800_000
"""Of attributes as JSON: a contact's row has to fit into one Kafka record, counters and all."""
FEW_ATTRIBUTES, FEW_BYTES = 100, 100_000
"""A write of so little is taken without a look at what its contact has already."""
_IDENTIFIERS = (identity.EXTERNAL_ID, identity.EMAIL, identity.PHONE, identity.ANONYMOUS_ID)
Pair = tuple[str, str]


def named(text: str, workspace: str, environment: str) -> Pair:
    """Type and value of ``cnt_…`` or ``type:value``; raises ``ApiError`` (404) for what can be no contact's here."""
    if identity.is_contact_id(text):
        text = f"{identity.CONTACT_ID}:{text}"
    kind, colon, value = text.partition(":")
    kind = identity.ALIASES.get(kind, kind)
    normal = identity.normalise(kind, value) if colon and identity.is_type(kind) else None
    if normal is None or (kind == identity.CONTACT_ID and not identity.belongs_to(normal, workspace, environment)):
        raise ApiError("not_found", "no such contact")
    return kind, normal


def identifiers_of(said: ContactEdit) -> list[tuple[str, Any, str]]:
    """As a raw event has them: type, value, field."""
    found = [(kind, getattr(said, kind), kind) for kind in _IDENTIFIERS if getattr(said, kind) is not None]
    if isinstance(said, ContactUpsert):
        if said.user_id is not None:
            if said.external_id is not None and said.external_id != said.user_id:
                raise ApiError("invalid_field", "user_id and external_id are the same identifier but differ", "user_id")
            found.append((identity.EXTERNAL_ID, said.user_id, "user_id"))
        if said.id is not None:
            found.append((identity.CONTACT_ID, said.id, "id"))
    return found


def event_of(said: ContactEdit, identifiers: list[tuple[str, Any, str]], event_id: str | None) -> RawEvent:
    profile: dict[str, Any] = {}
    if said.attributes:
        profile["set"] = said.attributes
    if said.consents:
        profile["consents"] = said.consents
    if said.devices:
        profile["devices"] = {device.device_id: device.model_dump() for device in said.devices}
    return RawEvent(
        kind=CONTACT,
        type=CONTACT_TYPE,
        identifiers=identifiers,
        properties=dict(said.attributes),
        profile=profile or None,
        timestamp=said.timestamp,
        event_id=event_id,
    )


def meant(
    identifiers: Sequence[Identifier], owners: Sequence[dict[str, Any] | None], path: Pair | None
) -> dict[str, Any] | None:
    """The contact that a write is about, as far as there is one; ``owners`` are those of the identifiers.

    Raises ``ApiError``: 404 for one that was named and is not there, 409 for an edit that brings what is another's.
    """
    pairs = [(one["type"], one["value"]) for one in identifiers]
    named_at = next((n for n, pair in enumerate(pairs) if pair == path or pair[0] == identity.CONTACT_ID), None)
    if named_at is None:
        return next((owner for owner in owners if owner is not None), None)
    found = owners[named_at]
    if found is None:
        raise ApiError("not_found", "no such contact", "id" if path is None else None)
    for pair, owner in zip(pairs, owners, strict=True):
        if path is not None and owner is not None and owner["id"] != found["id"]:
            raise ApiError("conflict", f"this {pair[0]} belongs to another contact", pair[0])
    return found


def anchor(known: Mapping[str, Any]) -> Pair:
    """What an event says to be about a contact that is there: its strongest identifier, else its id."""
    for one in known["identifiers"]:
        if identity.links(one["type"]):
            return one["type"], one["value"]
    return identity.CONTACT_ID, known["id"]


def about(raw: RawEvent, known: Mapping[str, Any] | None) -> RawEvent:
    """The event with what it says to be about in place of a contact's id."""
    if known is not None:
        found = (*anchor(known), "id")
        raw.identifiers = [
            found if kind == identity.CONTACT_ID else (kind, v, field) for kind, v, field in raw.identifiers
        ]
    return raw


def check_room(said: ContactEdit, known: Mapping[str, Any] | None) -> None:
    """Raises ``ApiError`` where the contact would outgrow its row: nothing is accepted that would be dropped later."""
    attributes = {} if known is None else dict(known["attributes"])
    for name, value in said.attributes.items():
        if value is None:
            attributes.pop(name, None)
        else:
            attributes[name] = value
    if len(attributes) > MOST_ATTRIBUTES:
        raise ApiError("invalid_field", f"a contact has at most {MOST_ATTRIBUTES} attributes", "attributes")
    if len(orjson.dumps(attributes)) > MOST_BYTES:
        raise ApiError("too_large", f"a contact's attributes are at most {MOST_BYTES} bytes", "attributes")


def is_large(said: ContactEdit) -> bool:
    """Whether a contact may outgrow its row by this write, though it was far from that."""
    return len(said.attributes) > FEW_ATTRIBUTES or len(orjson.dumps(said.attributes)) > FEW_BYTES


def nearly_full(attributes: Mapping[str, Any]) -> bool:
    """Whether the next writes of a contact have to be checked against what it has."""
    return (
        len(attributes) > MOST_ATTRIBUTES - 2 * FEW_ATTRIBUTES
        or len(orjson.dumps(attributes)) > MOST_BYTES - 2 * FEW_BYTES
    )


def missing(tied: Sequence[Identifier], shown: Sequence[Mapping[str, str]]) -> bool:
    """Whether a contact does not show yet what a write says of who it is, as ``identity.tied`` gives that."""
    has = {(one["type"], one["value"]) for one in shown}
    return any((one["type"], one["value"]) not in has for one in tied if one["type"] != identity.CONTACT_ID)


def apart_of(identifiers: Sequence[Identifier], tied: Sequence[Identifier]) -> list[str]:
    """A warning for each identifier that its workspace lets tie no contacts together."""
    return [
        warning("link_refused", f"{one['type']} was not added: the workspace does not link contacts by it")
        for one in identifiers
        if one not in tied
    ]


def outdated(said: ContactEdit, event: Event, document: Mapping[str, Any]) -> list[str]:
    """A warning for a write that says when it was true, and all of which later writes have overruled."""
    if said.timestamp is None or not (said.attributes or said.consents):
        return []
    now = [(said.attributes, document["attributes"]), (said.consents, document["consents"])]
    if any(shown.get(name) == value for given, shown in now for name, value in (given or {}).items()):
        return []
    text = f"nothing was changed: all of it has been written since {iso(event['timestamp_ms'])}"
    return [warning("older_than_known", text)]
