"""The query of a live page in; whether a row matches it out; pure.

A row matches if it meets every filter. A text matches any part of a value, without case.
"""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.errors import ApiError
from schemas.limits import LIVE_STATES
from sinks.console.live.rows import LiveRow

FIELDS = ("q", "type", "contact", "source", "key", "status")
MOST = 200
MOST_OF_KEY = 12
"""Characters of a secret that may stand in an address: those that rows show."""


class LiveFilter(NamedTuple):
    """Empty fields match every row."""

    q: str = ""
    type: str = ""
    contact: str = ""
    source: str = ""
    key: str = ""
    status: str = ""

    def takes(self, row: LiveRow) -> bool:
        if self.status and row.state != self.status:
            return False
        if self.type and self.type.casefold() not in (row.type.casefold(), row.item_type.casefold()):
            return False
        if self.source and self.source != row.source:
            return False
        if self.key and not row.key.startswith(self.key):
            return False
        if self.contact and not self._is_of(row):
            return False
        return not self.q or self.q.casefold() in _text(row)

    def _is_of(self, row: LiveRow) -> bool:
        contact = self.contact.casefold()
        if contact == row.contact_id:
            return True
        return any(contact in (value.casefold(), f"{kind}:{value}".casefold()) for kind, value in row.identifiers)


def filter_of(query: Mapping[str, str]) -> LiveFilter:
    """Raises ``ApiError`` (422) for an unknown status or a long text."""
    values = {name: query.get(name, "").strip() for name in FIELDS}
    for name, value in values.items():
        if len(value) > MOST:
            raise ApiError("invalid_field", f"at most {MOST} characters", name)
    if values["key"].startswith(("sk_", "pk_")) and len(values["key"]) > MOST_OF_KEY:
        raise ApiError("invalid_field", "name a key by its id: the key itself does not belong into an address", "key")
    if values["status"] and values["status"] not in LIVE_STATES:
        raise ApiError("invalid_field", f"status must be one of {', '.join(LIVE_STATES)}", "status")
    return LiveFilter(**values)


def _text(row: LiveRow) -> str:
    parts = (row.type, row.event_id, row.preview, row.reason, row.path, row.contact_id, row.key, row.item_type)
    return " ".join((*parts, *(value for _, value in row.identifiers))).casefold()
