"""A record in; whether all contact ids in it belong to its workspace and environment out; pure.

Contact ids carry their tenant (``schemas/records/identity.py``), so a stage finds a foreign id without a query. The
edge refuses it; this is the second check: no stage applies a record with one.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from schemas.records import identity
from schemas.records.records import Event

_NAMES: Final = ("contact_id", "loser", "winner", "merged_into")
_IDENTIFIERS: Final = ("a", "b", "identifier")
FOREIGN: Final = "foreign_contact"
"""Why such a record is in quarantine."""


class ForeignContactError(ValueError):
    """A record names a contact of another workspace or environment."""


def check(datum: Mapping[str, Any]) -> None:
    """Raise ``ForeignContactError`` for an event, link, merge, absorb or change that names another tenant's contact."""
    prefix = identity.tenant_prefix(datum["workspace"], datum["environment"])
    for contact_id in _of_event(cast("Event", datum), prefix) if "identifiers" in datum else _contact_ids(datum):
        if not contact_id.startswith(prefix):
            raise ForeignContactError(f"{contact_id[:64]} is no contact of {datum['workspace']}/{datum['environment']}")


def is_foreign(datum: Mapping[str, Any]) -> bool:
    """Whether ``check`` would raise."""
    try:
        check(datum)
    except ForeignContactError:
        return True
    return False


def _of_event(event: Event, prefix: str) -> Collection[str]:
    """Every event passes here in every stage, so of most, which name one contact of their tenant, no list is made."""
    contact_id = event["contact_id"]
    ids: tuple[str, ...] = () if not contact_id or contact_id.startswith(prefix) else (contact_id,)
    for identifier in event["identifiers"]:
        if identifier["type"] == identity.CONTACT_ID:
            ids = (*ids, identifier["value"])
    return ids


def _contact_ids(datum: Mapping[str, Any]) -> list[str]:
    get = datum.get
    if "a" in datum:  # a link, of which there is one for each new contact
        return [
            identifier["value"] for identifier in (datum["a"], datum["b"]) if identifier["type"] == identity.CONTACT_ID
        ]
    ids = [contact_id for name in _NAMES if (contact_id := get(name))]
    identifiers = [identifier for name in _IDENTIFIERS if (identifier := get(name))]
    for rebuild in (*(get("rebuilds") or ()), *([single] if (single := get("rebuild")) else ())):
        ids.append(rebuild["winner"])
        identifiers += rebuild["members"]
    for event in get("events") or ():
        same = (event["workspace"], event["environment"]) == (datum["workspace"], datum["environment"])
        if not same or is_foreign(event):
            ids.append("another tenant's event")
    return ids + [identifier["value"] for identifier in identifiers if identifier["type"] == identity.CONTACT_ID]
