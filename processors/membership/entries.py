"""Values by name, each with the time and id of its event; the last writer wins, in any order of arrival."""

from typing import Any

import orjson

Stamped = list[Any]
"""``[value, time, event id]``; the latest (time, event id) wins."""
Entries = dict[str, Stamped]


def write(entries: Entries, name: str, stamped: Stamped) -> bool:
    """Writes an entry unless a later one is there; returns whether it was written."""
    current = entries.get(name)
    if current is not None:
        order = (stamped[1], stamped[2]), (current[1], current[2])
        if order[0] < order[1] or (order[0] == order[1] and _text(stamped) <= _text(current)):
            return False
    entries[name] = stamped
    return True


def _text(stamped: Stamped) -> bytes:
    # the value decides only where an event id was used twice, but something has to
    return orjson.dumps(stamped[0], option=orjson.OPT_SORT_KEYS)


def newest(entries: Entries, most: int) -> list[str]:
    """Keeps the newest ``most`` entries; returns the dropped names. The order of writes does not matter."""
    if len(entries) <= most:
        return []
    ordered = sorted(entries, key=lambda name: (entries[name][1], entries[name][2], name))
    gone = ordered[: len(entries) - most]
    for name in gone:
        del entries[name]
    return gone
