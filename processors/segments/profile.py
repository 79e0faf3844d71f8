"""What an event says of its contact in, the contact's attributes, consents and devices out, and its snapshot.

The last writer wins by (time, event id), per attribute. A time later than the receipt counts as the time of
receipt: a clock that is ahead must not silence everybody else.
"""

from typing import Any

import orjson

from processors.segments.state import Contact, Entries, newest, write
from schemas import identity
from schemas.records import Event

MOST_ATTRIBUTES = 1000
MOST_CONSENTS = 100
MOST_DEVICES = 100

Said = dict[str, Any]
"""``set``, ``consents`` and ``device``, each optional."""


def said_by(event: Event) -> Said:
    """The event's ``profile``; what is not an object says nothing."""
    if not event["profile"]:
        return {}
    said = orjson.loads(event["profile"])
    if not isinstance(said, dict):
        return {}
    return {name: value for name, value in said.items() if isinstance(value, dict)}


def stamp_of(event: Event) -> tuple[int, str]:
    return min(event["timestamp_ms"], event["received_ms"]), event["event_id"]


def learn(contact: Contact, event: Event, said: Said) -> tuple[set[str], set[str], bool]:
    """Names of the attributes and of the consents that changed, and whether anything changed at all."""
    stamp = stamp_of(event)
    attributes = _write_all(contact.attributes, said.get("set", {}), stamp, MOST_ATTRIBUTES)
    given = {name: value for name, value in said.get("consents", {}).items() if isinstance(value, bool | None)}
    consents = _write_all(contact.consents, given, stamp, MOST_CONSENTS)
    device = said.get("device", {})
    device_id = device.get("device_id")
    devices = {device_id: device} if isinstance(device_id, str) else {}
    changed = attributes | consents | _write_all(contact.devices, devices, stamp, MOST_DEVICES)
    if event["received_ms"] > contact.updated:
        contact.updated = event["received_ms"]
        return attributes, consents, True
    return attributes, consents, bool(changed)


def _write_all(entries: Entries, values: dict[str, Any], stamp: tuple[int, str], most: int) -> set[str]:
    changed = {name for name, value in values.items() if write(entries, name, [value, *stamp])}
    changed.update(newest(entries, most))
    return changed


def trim(contact: Contact) -> None:
    """As many of each as ``learn`` lets there be."""
    newest(contact.attributes, MOST_ATTRIBUTES)
    newest(contact.consents, MOST_CONSENTS)
    newest(contact.devices, MOST_DEVICES)


def snapshot(contact: Contact) -> bytes:
    """The JSON of a profile change."""
    firsts = [since[0] for values in contact.identifiers.values() for since in values.values()]
    created = contact.created or min(firsts, default=0)
    identifiers = sorted(
        (identity.rank(kind), kind, value) for kind, values in contact.identifiers.items() for value in values
    )
    return orjson.dumps(
        {
            identity.EMAIL: _latest(contact, identity.EMAIL),
            identity.PHONE: _latest(contact, identity.PHONE),
            identity.EXTERNAL_ID: _latest(contact, identity.EXTERNAL_ID),
            "anonymous_ids": sorted(contact.identifiers.get(identity.ANONYMOUS_ID, ())),
            "identifiers": [{"type": kind, "value": value} for _, kind, value in identifiers],
            "attributes": _present(contact.attributes),
            "consents": _present(contact.consents),
            "devices": list(_present(contact.devices).values()),
            "created_ms": created,
            "updated_ms": max(contact.updated, created, *firsts) if firsts else max(contact.updated, created),
        }
    )


def _latest(contact: Contact, kind: str) -> str | None:
    values = contact.identifiers.get(kind)
    return max(values, key=lambda value: (values[value][0], value)) if values else None


def _present(entries: Entries) -> dict[str, Any]:
    return {name: entries[name][0] for name in sorted(entries) if entries[name][0] is not None}
