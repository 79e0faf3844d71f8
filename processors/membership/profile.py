"""The profile fields of an event in; the contact's attributes, consents, devices and snapshot out.

The last writer wins by (time, event id), per attribute. A time later than the receipt counts as the time of
receipt: a client whose clock is ahead must not win over all others. ``set_once`` uses the negated time: it loses to
every other writer, and the earliest ``set_once`` wins.
"""

from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

import orjson

from processors.membership.contact_state import Contact
from processors.membership.entries import Entries, newest, write
from schemas.records import identity
from schemas.records.records import ALIAS, IDENTIFY, Event

MOST_ATTRIBUTES: Final = 1000
MOST_CONSENTS: Final = 100
MOST_DEVICES: Final = 100
MOST_ADDRESSES: Final = 40
"""Bound of the identifiers kept; more than a contact may have, since some belong to others."""
_ADDRESSES: Final = (identity.EMAIL, identity.PHONE)
MOST_STANDING: Final = 100

ProfileFields = dict[str, Any]
"""``set``, ``set_once``, ``consents``, ``consent_state``, ``device`` and ``devices`` (by their ids), each optional."""

Stamp = tuple[int, str]
"""Time (epoch ms) and id of an event: the greater one is the later."""
_NO_NAMES: Final[AbstractSet[str]] = frozenset()


class ProfileUpdate(NamedTuple):
    """The effect of one event on a profile."""

    attributes: AbstractSet[str]
    consents: AbstractSet[str]
    changed: bool
    """Whether the profile reads differently now."""
    kept: bool
    """Whether the row changed: the same value at a later time matters to later events that come out of order."""
    recorded: dict[str, bool | None]
    """Consents to record as changes: those that the event gave or withdrew, and differences of a ``consent_state``."""


def fields_of(event: Event) -> ProfileFields:
    """The event's ``profile``; empty unless it is an object."""
    if not event["profile"]:
        return {}
    fields = orjson.loads(event["profile"])
    if not isinstance(fields, dict):
        return {}
    return {name: value for name, value in fields.items() if isinstance(value, dict)}


def stamp_of(event: Event) -> Stamp:
    return min(event["timestamp_ms"], event["received_ms"]), event["event_id"]


def learn(contact: Contact, event: Event, fields: ProfileFields, stamp: Stamp) -> ProfileUpdate:
    """Applies an event's fields to the profile; the time of the last change moves only with a visible change."""
    attributes = consents = devices = _NO_NAMES
    kept = False
    recorded: dict[str, bool | None] = {}
    if "set_once" in fields:
        attributes, kept = _write_all(contact.attributes, fields["set_once"], _once(stamp), MOST_ATTRIBUTES)
    if "set" in fields:
        later, is_new = _write_all(contact.attributes, fields["set"], stamp, MOST_ATTRIBUTES)
        attributes, kept = attributes | later if attributes else later, kept or is_new
    if "consents" in fields or "consent_state" in fields:
        recorded = all_consents(fields)
        consents, is_new = _write_all(contact.consents, recorded, stamp, MOST_CONSENTS)
        kept = kept or is_new
        if "consent_state" in fields:
            given = fields.get("consents", {})
            recorded = {name: value for name, value in recorded.items() if name in consents or name in given}
    if "device" in fields or "devices" in fields:
        devices, is_new = _write_all(contact.devices, _devices(fields), stamp, MOST_DEVICES)
        kept = kept or is_new
    changed = bool(attributes or consents or devices)
    if changed:
        contact.updated = max(contact.updated, event["received_ms"])
    return ProfileUpdate(attributes, consents, changed, kept, recorded)


def learn_standing(contact: Contact, event: Event) -> bool:
    """Learns from an event with an earlier external id which id is the present one; returns whether that changed."""
    named = [identifier["value"] for identifier in event["identifiers"] if identifier["type"] == identity.EXTERNAL_ID]
    if len(named) < 2 or event["kind"] not in (IDENTIFY, ALIAS):
        return False
    stamp = stamp_of(event)
    news = [write(contact.standing, value, [n == 0, *stamp]) for n, value in enumerate(named)]
    newest(contact.standing, MOST_STANDING)
    return any(news)


def addressed(contact: Contact, event: Event, stamp: Stamp) -> tuple[bool, bool]:
    """Notes the event's e-mail and phone; returns whether the row changed, and whether the visible address did."""
    named = [identifier for identifier in event["identifiers"] if identifier["type"] in _ADDRESSES]
    if not named:
        return False, False
    addresses = [f"{identifier['type']}:{identifier['value']}" for identifier in named]
    shown = addresses_of(contact)
    kept = any([write(contact.addresses, name, [None, *stamp]) for name in addresses])  # noqa: C419 - each is noted
    newest(contact.addresses, MOST_ADDRESSES)
    return kept, kept and shown != addresses_of(contact)


def addresses_of(contact: Contact) -> list[str | None]:
    """The newest e-mail and phone."""
    return [_latest(contact, kind) for kind in _ADDRESSES]


def _once(stamp: Stamp) -> Stamp:
    return -stamp[0], stamp[1]


def consents_of(fields: ProfileFields, place: str = "consents") -> dict[str, bool | None]:
    """``None`` removes a consent's record; other values are ignored."""
    return {name: value for name, value in fields.get(place, {}).items() if value is None or isinstance(value, bool)}


def all_consents(fields: ProfileFields) -> dict[str, bool | None]:
    """Consents of ``consent_state`` and ``consents``; the latter win."""
    if "consent_state" not in fields:
        return consents_of(fields) if "consents" in fields else {}
    return {**consents_of(fields, "consent_state"), **consents_of(fields)}


def _devices(fields: ProfileFields) -> ProfileFields:
    device = fields.get("device", {})
    device_id = device.get("device_id")
    alone = {device_id: device} if isinstance(device_id, str) else {}
    return {**fields.get("devices", {}), **alone}


def _write_all(entries: Entries, values: ProfileFields, stamp: Stamp, most: int) -> tuple[set[str], bool]:
    """The names whose value changed, and whether any entry changed."""
    changed: set[str] = set()
    kept = False
    if not values:
        return changed, kept
    if not entries and len(values) <= most:  # of a new contact: nothing to compare with
        time_ms, event_id = stamp
        entries.update({name: [value, time_ms, event_id] for name, value in values.items()})
        return {name for name, value in values.items() if value is not None}, True
    for name, value in values.items():
        entry = entries.get(name)
        if write(entries, name, [value, *stamp]):
            kept = True
            if value is not None if entry is None else _text(value) != _text(entry[0]):
                changed.add(name)
    gone = newest(entries, most)
    return changed | set(gone), kept or bool(gone)


def _text(value: Any) -> bytes:
    # as JSON: 1 is not true
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def trim(contact: Contact) -> None:
    """Applies the limits of ``learn`` to each part of the profile."""
    newest(contact.attributes, MOST_ATTRIBUTES)
    newest(contact.consents, MOST_CONSENTS)
    newest(contact.devices, MOST_DEVICES)
    newest(contact.addresses, MOST_ADDRESSES)
    newest(contact.standing, MOST_STANDING)


MOST_RECEIPTED: Final = 64 * 1024
"""Most bytes of a contact in a receipt; a larger contact is read from the database."""


def snapshot(contact: Contact) -> bytes:
    """The JSON of a profile change."""
    return orjson.dumps(_shown(contact))


def receipted(contact_id: str, contact: Contact) -> bytes:
    """The contact for the receipt of a write, with its segments; empty if it is too large or incomplete."""
    if contact.pending:
        return b""
    shown = orjson.dumps({"id": contact_id, **_shown(contact), "segments": sorted(contact.members)})
    return shown if len(shown) <= MOST_RECEIPTED else b""


def _shown(contact: Contact) -> dict[str, Any]:
    identifiers = contact.identifiers
    firsts = [since[0] for values in identifiers.values() for since in values.values()]
    created = contact.created or min(firsts, default=0)
    return {
        identity.EMAIL: _latest(contact, identity.EMAIL),
        identity.PHONE: _latest(contact, identity.PHONE),
        identity.EXTERNAL_ID: _latest(contact, identity.EXTERNAL_ID),
        "anonymous_ids": sorted(identifiers.get(identity.ANONYMOUS_ID, ())),
        "identifiers": [
            {"type": kind, "value": value}
            for kind in (sorted(identifiers, key=_strength) if len(identifiers) > 1 else identifiers)
            for value in sorted(identifiers[kind])
        ],
        "attributes": _present(contact.attributes),
        "consents": _present(contact.consents),
        "devices": list(_present(contact.devices).values()),
        "created_ms": created,
        "updated_ms": max([contact.updated, created, *firsts]),
    }


def _strength(kind: str) -> tuple[int, str]:
    return identity.rank(kind), kind


def _latest(contact: Contact, kind: str) -> str | None:
    """The newest value that belongs to the contact."""
    values = contact.identifiers.get(kind)
    if not values:
        return None
    if len(values) == 1:
        return next(iter(values))
    given_up = {v for v, entry in contact.standing.items() if not entry[0]} if kind == identity.EXTERNAL_ID else set()
    times = {v: contact.addresses.get(f"{kind}:{v}", (None, *since))[1] for v, since in values.items()}
    return max(values, key=lambda value: (value not in given_up, times[value], value))


def _present(entries: Entries) -> dict[str, Any]:
    if not entries:
        return {}
    return {name: value for name in sorted(entries) if (value := entries[name][0]) is not None}
