"""A record in, whether every contact id in it is one of its own workspace's environment, out; pure.

Contact ids carry their tenant (``schemas/records/identity.py``), so a stage tells a foreign one without asking. The
edge refuses it; this is the wall behind: a record that names one is never applied.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.records import identity

FOREIGN = "foreign_contact"
"""Why such a record is in quarantine."""


class ForeignContactError(ValueError):
    """A record names a contact of another workspace or environment."""


def check(datum: Mapping[str, Any]) -> None:
    """Raise ``ForeignContactError`` for an event, link, merge, absorb or change that names another tenant's contact."""
    prefix = identity.tenant_prefix(datum["workspace"], datum["environment"])
    for contact_id in _contact_ids(datum):
        if contact_id and not contact_id.startswith(prefix):
            raise ForeignContactError(f"{contact_id[:64]} is no contact of {datum['workspace']}/{datum['environment']}")


def is_foreign(datum: Mapping[str, Any]) -> bool:
    """Whether ``check`` would raise."""
    try:
        check(datum)
    except ForeignContactError:
        return True
    return False


def _contact_ids(datum: Mapping[str, Any]) -> Iterable[str]:
    for name in ("contact_id", "loser", "winner", "merged_into"):
        yield datum.get(name) or ""
    for name in ("a", "b", "identifier"):
        yield from _of_type_id(datum.get(name) and [datum[name]])
    yield from _of_type_id(datum.get("identifiers"))
    for rebuild in (*(datum.get("rebuilds") or ()), *filter(None, (datum.get("rebuild"),))):
        yield rebuild["winner"]
        yield from _of_type_id(rebuild["members"])
    for event in datum.get("events") or ():
        same = (event["workspace"], event["environment"]) == (datum["workspace"], datum["environment"])
        yield "" if same and not is_foreign(event) else "another tenant's event"


def _of_type_id(identifiers: Any) -> Iterable[str]:
    return (one["value"] for one in identifiers or () if one["type"] == identity.CONTACT_ID)
