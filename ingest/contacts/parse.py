"""A validated body about a contact in, its raw event out; ``ApiError`` if the contact would be too large; pure.

A contact follows from its events alone, so a write is an event as well: stored, replayed and repeated like any other.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from ingest.events.raw import RawEvent
from schemas.api.requests.contacts import ContactEdit, ContactUpsert
from schemas.errors import ApiError
from schemas.json_bytes import json_bytes
from schemas.records import identity
from schemas.records.records import CONTACT, CONTACT_TYPE, Event, Identifier
from schemas.times import iso
from schemas.warning import warning

FOUND: Final = "/internal/contacts/found"
WRITTEN: Final = "/internal/contacts/written"
"""Paths of the read API that only the edge asks; they show no more than the key may read and write."""
MOST_ATTRIBUTES: Final = 1000
MOST_BYTES: Final = 800_000
"""The largest attributes of a contact as JSON: its row, counters included, has to fit into one Kafka record."""
FEW_ATTRIBUTES: Final = 100
FEW_BYTES: Final = 100_000
"""Writes up to this size are accepted without reading the contact's present size."""
_IDENTIFIERS: Final = (identity.EXTERNAL_ID, identity.EMAIL, identity.PHONE, identity.ANONYMOUS_ID)
Pair = tuple[str, str]


def named(text: str, workspace: str, environment: str) -> Pair:
    """Type and value of ``cnt_…`` or ``type:value``; raises ``ApiError`` (404) where no contact here can have it."""
    if identity.is_contact_id(text):
        text = f"{identity.CONTACT_ID}:{text}"
    kind, colon, value = text.partition(":")
    kind = identity.ALIASES.get(kind, kind)
    normal = identity.normalise(kind, value) if colon and identity.is_type(kind) else None
    if normal is None or (kind == identity.CONTACT_ID and not identity.belongs_to(normal, workspace, environment)):
        raise ApiError("not_found", "no such contact")
    return kind, normal


def identifiers_of(edit: ContactEdit) -> list[tuple[str, Any, str]]:
    """Returns the identifiers as a raw event has them: type, value and the field's name."""
    identifiers = [(kind, getattr(edit, kind), kind) for kind in _IDENTIFIERS if getattr(edit, kind) is not None]
    if isinstance(edit, ContactUpsert):
        if edit.user_id is not None:
            if edit.external_id is not None and edit.external_id != edit.user_id:
                raise ApiError("invalid_field", "user_id and external_id are the same identifier but differ", "user_id")
            identifiers.append((identity.EXTERNAL_ID, edit.user_id, "user_id"))
        if edit.id is not None:
            identifiers.append((identity.CONTACT_ID, edit.id, "id"))
    return identifiers


def event_of(edit: ContactEdit, identifiers: list[tuple[str, Any, str]], event_id: str | None) -> RawEvent:
    profile: dict[str, Any] = {}
    if edit.attributes:
        profile["set"] = edit.attributes
    if edit.consents:
        profile["consents"] = edit.consents
    if edit.devices:
        profile["devices"] = {device.device_id: device.model_dump() for device in edit.devices}
    return RawEvent(
        kind=CONTACT,
        type=CONTACT_TYPE,
        identifiers=identifiers,
        properties=dict(edit.attributes),
        profile=profile or None,
        timestamp=edit.timestamp,
        event_id=event_id,
    )


def meant(
    identifiers: Sequence[Identifier], owners: Sequence[dict[str, Any] | None], path: Pair | None
) -> dict[str, Any] | None:
    """The contact that a write changes, if it exists; ``owners`` are the contacts of the identifiers, in their order.

    Raises ``ApiError``: 404 for a named contact that does not exist, 409 for an identifier of another contact.
    """
    pairs = [(identifier["type"], identifier["value"]) for identifier in identifiers]
    named_at = next((n for n, pair in enumerate(pairs) if pair == path or pair[0] == identity.CONTACT_ID), None)
    if named_at is None:
        return next((owner for owner in owners if owner is not None), None)
    named = owners[named_at]
    if named is None:
        raise ApiError("not_found", "no such contact", "id" if path is None else None)
    for pair, owner in zip(pairs, owners, strict=True):
        if path is not None and owner is not None and owner["id"] != named["id"]:
            raise ApiError("conflict", f"this {pair[0]} belongs to another contact", pair[0])
    return named


def anchor(contact: Mapping[str, Any]) -> Pair:
    """The identifier by which an event names an existing contact: its strongest one, else its id."""
    for identifier in contact["identifiers"]:
        if identity.links(identifier["type"]):
            return identifier["type"], identifier["value"]
    return identity.CONTACT_ID, contact["id"]


def about(raw: RawEvent, contact: Mapping[str, Any] | None) -> RawEvent:
    """The event, with such an identifier in place of the contact's id."""
    if contact is not None:
        anchored = (*anchor(contact), "id")
        raw.identifiers = [
            anchored if kind == identity.CONTACT_ID else (kind, v, field) for kind, v, field in raw.identifiers
        ]
    return raw


def check_room(edit: ContactEdit, contact: Mapping[str, Any] | None) -> None:
    """Raises ``ApiError`` where the contact would outgrow its row: nothing is accepted that would be dropped later."""
    attributes = edit.attributes
    if contact is not None or None in attributes.values():
        before = {} if contact is None else contact["attributes"]
        attributes = {name: value for name, value in {**before, **attributes}.items() if value is not None}
    if len(attributes) > MOST_ATTRIBUTES:
        raise ApiError("invalid_field", f"a contact has at most {MOST_ATTRIBUTES} attributes", "attributes")
    if len(json_bytes(attributes, "attributes")) > MOST_BYTES:
        raise ApiError("too_large", f"a contact's attributes are at most {MOST_BYTES} bytes", "attributes")


def is_large(edit: ContactEdit) -> bool:
    """Whether a contact may outgrow its row by this write, though it was far from that."""
    return len(edit.attributes) > FEW_ATTRIBUTES or len(json_bytes(edit.attributes, "attributes")) > FEW_BYTES


def nearly_full(attributes: Mapping[str, Any]) -> bool:
    """Whether later writes of a contact need a check of its size."""
    return (
        len(attributes) > MOST_ATTRIBUTES - 2 * FEW_ATTRIBUTES
        or len(orjson.dumps(attributes)) > MOST_BYTES - 2 * FEW_BYTES
    )


def missing(tied: Sequence[Identifier], shown: Sequence[Mapping[str, str]]) -> bool:
    """Whether a contact lacks an identifier of a write; ``tied`` as of ``identity.tied``."""
    has = {(identifier["type"], identifier["value"]) for identifier in shown}
    return any(
        (identifier["type"], identifier["value"]) not in has
        for identifier in tied
        if identifier["type"] != identity.CONTACT_ID
    )


def apart_of(identifiers: Sequence[Identifier], tied: Sequence[Identifier]) -> list[str]:
    """A warning for each identifier that its workspace lets tie no contacts together."""
    return [
        warning("link_refused", f"{identifier['type']} was not added: the workspace does not link contacts by it")
        for identifier in identifiers
        if identifier not in tied
    ]


def outdated(edit: ContactEdit, event: Event, document: Mapping[str, Any]) -> list[str]:
    """Returns a warning if the write has a ``timestamp`` and later writes have replaced all of its values."""
    if edit.timestamp is None or not (edit.attributes or edit.consents):
        return []
    now = [(edit.attributes, document["attributes"]), (edit.consents, document["consents"])]
    if any(shown.get(name) == value for given, shown in now for name, value in (given or {}).items()):
        return []
    text = f"nothing was changed: all of it has been written since {iso(event['timestamp_ms'])}"
    return [warning("older_than_known", text)]
