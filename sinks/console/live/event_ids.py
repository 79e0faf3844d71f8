"""Ids of events in; whether a record's bytes name one of them, out; pure.

Decoding a record to learn that it says nothing of a row is what a viewer would cost most. Ids that are made here are
found by their form, in one pass whatever their number; those of clients are looked for one by one.
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
        """Whether one of them is; a record may hold their bytes and mean something else."""
        if self._made and not self._made.isdisjoint(_MADE.findall(payload)):
            return True
        return any(one in payload for one in self._others)
