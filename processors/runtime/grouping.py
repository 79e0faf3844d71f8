"""Waiting records in; groups to process together, and the single events of a record, out; pure."""

from collections import deque
from dataclasses import replace
from typing import Final

from processors.runtime.stage import InputRecord
from schemas import topics
from schemas.records import codec
from schemas.records.records import Event

GROUP: Final = 200
GROUP_BYTES: Final = 512 * 1024
"""Most records and, about, bytes of one unit: a step holds up the event loop, heartbeats included."""
OF_EVENTS: Final = (topics.EVENTS.name, topics.RESOLVED.name)
"""Topics whose records hold events of several contacts and workspaces."""


def group_of(waiting: deque[InputRecord]) -> list[InputRecord]:
    """The next records, at least one."""
    group, size = [waiting.popleft()], 0
    while waiting and len(group) < GROUP:
        size += len(group[-1].value)
        if size + len(waiting[0].value) > GROUP_BYTES:
            break
        group.append(waiting.popleft())
    return group


def events_of(record: InputRecord) -> list[Event]:
    """Empty where it holds no events, or cannot be read."""
    if record.topic not in OF_EVENTS:
        return []
    try:
        return codec.decode_events(record.value)
    except codec.UndecodableError:
        return []


def apart(record: InputRecord) -> list[InputRecord]:
    """Divides a record with several events into one record for each event, with its index; else returns no record."""
    events = events_of(record)
    if len(events) < 2:
        return []
    return [replace(record, value=codec.encode_events([event]), index=n) for n, event in enumerate(events)]
