"""Decoded records in; the rows that all viewers share, completed in place, out; pure.

The board keeps only rows that a viewer shows. A stage's fact about an unknown event waits for that event.
"""

from collections import Counter, OrderedDict

from schemas.records.records import Change, Event
from schemas.records.sameness import id_in
from sinks.console.live.event_ids import EventIds
from sinks.console.live.rows import DUPLICATE, LiveRow, RecordPlace, of_event, place_of, repeated_id
from sinks.console.live.viewer import LiveViewer

MOST_ROWS = 2000
MOST_EARLY = 1000
LATE_MS = 3000
"""A complete row is followed for so long after its last change: a stage's result may come after its commit."""
PAST_MS = 5 * 60_000
"""Any other row is followed for so long after its last change."""
EventKey = tuple[str, str, str]


class LiveBoard:
    """``viewers`` holds present viewers, and those that left a moment ago."""

    def __init__(self) -> None:
        self.viewers: list[LiveViewer] = []
        self.pending: dict[EventKey, LiveRow] = {}
        self.seen: Counter[tuple[str, str]] = Counter()
        """Events by workspace and environment, refused requests under the environment ``""``."""
        self._rows: OrderedDict[str, LiveRow] = OrderedDict()
        self._repeats: OrderedDict[RecordPlace, LiveRow] = OrderedDict()
        """Rows of events whose id has a row already, until it is known whether they are the same."""
        self._early: OrderedDict[RecordPlace, tuple[Event, int, int, int]] = OrderedDict()

    def keep_viewers(self, left_ms: float) -> bool:
        """Forgets viewers that left before this time; returns whether any is kept."""
        self.viewers = [viewer for viewer in self.viewers if viewer.left_ms is None or viewer.left_ms > left_ms]
        return bool(self.viewers)

    def tell_of_gap(self) -> None:
        """Tells viewers that requested earlier rows that the feed did not read some of them."""
        for viewer in self.viewers:
            viewer.has_gap |= viewer.since_ms is not None

    def add(self, row: LiveRow, now_ms: int) -> None:
        """Offers a new row to each viewer."""
        self.seen[row.workspace, row.environment] += 1
        first = self._rows.get(row.id)
        if first is not None:
            if first.origin == row.origin:
                return  # a record read again
            row.id = repeated_id(row.origin)
        if row.id in self._rows or (row.kind == "event" and repeated_id(row.origin) in self._rows):
            return
        taken = [viewer.offer(row, now_ms) for viewer in self.viewers]
        if not any(taken):
            return
        self._keep(row)
        if row.kind == "event":
            if first is None:
                self.pending[row.workspace, row.environment, row.event_id] = row
            else:
                self._repeats[row.origin] = row
                if len(self._repeats) > MOST_EARLY:
                    self._repeats.popitem(last=False)
            if (early := self._early.pop(row.origin, None)) is not None:
                event, partition, offset, written_ms = early
                self._resolve(row, event, partition, offset, now_ms, written_ms=written_ms)

    def resolved(
        self, event: Event, partition: int, offset: int, now_ms: int, *, past: bool = False, written_ms: int = 0
    ) -> None:
        """Applies a resolved event: its contact, and whether it is a copy; ``written_ms`` 0: now."""
        written_ms = written_ms or now_ms
        key, origin = (event["workspace"], event["environment"], event["event_id"]), place_of(event)
        row = self._repeats.get(origin) or self.pending.get(key)
        if row is not None and row.origin == origin:
            self._resolve(row, event, partition, offset, now_ms, written_ms=written_ms)
        elif event.get("repeat") and key[:2] in self._repeats_watched():
            self._add_repeat(event, partition, offset, now_ms, past=past)
        elif row is None and key[:2] in self.watched():
            self._early[origin] = (event, partition, offset, written_ms)
            if len(self._early) > MOST_EARLY:
                self._early.popitem(last=False)

    @property
    def wants_repeats(self) -> bool:
        """Whether a viewer shows copies, which only the resolved event identifies."""
        return bool(self._repeats_watched())

    def _repeats_watched(self) -> set[tuple[str, str]]:
        return {(viewer.workspace, viewer.environment) for viewer in self.viewers if viewer.filter.status == DUPLICATE}

    def _add_repeat(self, event: Event, partition: int, offset: int, now_ms: int, *, past: bool) -> None:
        """Adds a row for viewers of copies alone: no earlier row exists."""
        row = of_event(event, offset, now_ms, past=past, origin=place_of(event))
        row.id = repeated_id(row.origin)
        if row.id in self._rows:
            return
        self._keep(row)
        self._resolve(row, event, partition, offset, now_ms, written_ms=now_ms)

    def _keep(self, row: LiveRow) -> None:
        self._rows[row.id] = row
        if len(self._rows) > MOST_ROWS:
            self._rows.popitem(last=False)

    def changed(self, change: Change, now_ms: int, written_ms: int = 0) -> None:
        """Applies a membership change that an event caused; ``written_ms`` 0: now."""
        if change["kind"] != "membership" or not change.get("event_id"):
            return
        row = self.pending.get((change["workspace"], change["environment"], id_in(change["event_id"])))
        if row is not None and len(row.segments) < MOST_ROWS:
            row.segments.append((change["segment_id"], change["member"]))
            row.judged_ms = row.since(written_ms or now_ms) if row.judged_ms is None else row.judged_ms
            self._touch(row, now_ms)

    def quarantined(self, workspace: str, event_id: str, reason: str, now_ms: int) -> None:
        """Marks the row of an event that could not be processed."""
        for (owner, _, pending_id), row in self.pending.items():
            if owner == workspace and pending_id == event_id:
                row.reason = reason
                self._touch(row, now_ms)

    def committed(self, judged: dict[int, int], stored: dict[int, int], now_ms: int) -> None:
        """Applies the committed offsets of segments and the sink, by partition: rows below have passed that stage."""
        for key, row in list(self.pending.items()):
            if now_ms - row.touched_ms > (LATE_MS if row.stored and row.judged else PAST_MS):
                del self.pending[key]
            if row.resolved is None:
                continue
            partition, offset = row.resolved
            if not row.judged and judged.get(partition, 0) > offset:
                row.judged = True
                self._touch(row, now_ms)
            if not row.stored and stored.get(partition, 0) > offset:
                row.stored, row.stored_ms = True, row.since(now_ms)
                self._touch(row, now_ms)

    def since(self, touched_ms: int) -> list[LiveRow]:
        """Returns rows that changed since this time, oldest first."""
        return [row for row in self._rows.values() if row.touched_ms >= touched_ms]

    def row(self, row_id: str) -> LiveRow | None:
        return self._rows.get(row_id)

    def watched(self) -> set[tuple[str, str]]:
        return {(viewer.workspace, viewer.environment) for viewer in self.viewers}

    def incomplete(self) -> EventIds:
        """Returns the ids of rows that are not complete yet."""
        return EventIds([*(key[2] for key in self.pending), *(row.event_id for row in self._repeats.values())])

    def passes_over(self, workspace: str, environment: str, at_ms: int, now_ms: int) -> bool:
        """Whether no viewer has room for a new event, as under heavy load; each viewer counts it."""
        here = [viewer for viewer in self.viewers if viewer.workspace == workspace]
        if any(viewer.environment == environment and viewer.takes_more(at_ms, now_ms) for viewer in here):
            return False
        self.seen[workspace, environment] += 1
        for viewer in here:
            if viewer.environment == environment:
                viewer.hidden += 1
            else:
                viewer.elsewhere += 1
        return True

    def _resolve(
        self, row: LiveRow, event: Event, partition: int, offset: int, now_ms: int, *, written_ms: int
    ) -> None:
        row.resolved, row.resolved_ms = (partition, offset), row.since(written_ms)
        row.contact_id = event["contact_id"]
        self._repeats.pop(row.origin, None)
        if repeat := event.get("repeat", 0):
            # the later stages ignore a copy, and the sink counts it
            row.repeat = repeat
            key = (row.workspace, row.environment, row.event_id)
            if self.pending.get(key) is row:
                del self.pending[key]
            for viewer in self.viewers:
                if viewer.filter.status == DUPLICATE:
                    viewer.offer(row, now_ms)
        elif row.id == repeated_id(row.origin):
            # the same id for another event: of another type, or of another sender
            self.pending[row.workspace, row.environment, row.id] = row
        self._touch(row, now_ms)

    def _touch(self, row: LiveRow, now_ms: int) -> None:
        row.touched_ms = now_ms
        for viewer in self.viewers:
            viewer.touch(row)
