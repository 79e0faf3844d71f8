"""Ids of events in; whether a record's bytes name one of them, out; pure.

Decoding records without a relevant row would be a viewer's largest cost. One pass matches all ids of Headwater's own
form, whatever their number; clients' ids need one search each.
"""

import re
from collections.abc import Iterable

_MADE = re.compile(rb"evt_[0-9a-f]{32}")


class EventIds:
    def __init__(self, ids: Iterable[str]) -> None:
        encoded = [one.encode("utf-8", "surrogatepass") for one in ids]
        self._made = {one for one in encoded if _MADE.fullmatch(one)}
        self._others = [one for one in encoded if one not in self._made]

    def are_in(self, payload: bytes) -> bool:
        """Whether the bytes hold an id; a match may be part of another text."""
        if self._made and not self._made.isdisjoint(_MADE.findall(payload)):
            return True
        return any(one in payload for one in self._others)
