"""Ids of events in; whether a record's bytes name one of them, out; pure.

Decoding records without a relevant row would be a viewer's largest cost. One pass matches all ids of Headwater's own
form, whatever their number; clients' ids need one search each.
"""

import re
from collections.abc import Iterable

_MADE = re.compile(rb"evt_[0-9a-f]{32}")


class EventIds:
    def __init__(self, ids: Iterable[str]) -> None:
        encoded = [event_id.encode("utf-8", "surrogatepass") for event_id in ids]
        self._made = {event_id for event_id in encoded if _MADE.fullmatch(event_id)}
        self._others = [event_id for event_id in encoded if event_id not in self._made]

    def are_in(self, payload: bytes) -> bool:
        """Whether the bytes hold an id; a match may be part of another text."""
        if self._made and not self._made.isdisjoint(_MADE.findall(payload)):
            return True
        return any(event_id in payload for event_id in self._others)
