"""One group of inputs over the rows of a partition in, messages and new rows out: each row is read and put once."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from processors.runtime.stage import Send, State
from processors.segments import profile, state
from processors.segments.held import Held
from processors.segments.plans import Plans
from processors.segments.state import Contact, Redirect, Row
from processors.segments.timers import Timers
from schemas import codec, topics
from schemas.identity import partition_of
from schemas.records import TRACK, Absorb, Change, Event, Merge

log = logging.getLogger(__name__)

TABLE = topics.SEGMENT_STATES
MAX_RECORD = 800_000
"""Bytes of one outgoing record, about, and well below the broker's limit."""
EVENT_BYTES, CHANGE_BYTES = 1500, 500
"""What a record takes beside its JSON, generously."""
MAX_SKEW_MS = 5000
"""How far ahead of ours the clock of an edge may be before its events have to wait for their time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What may have been told before a crash without having been kept."""

    until_ms: int
    """Records and due times up to here may have been in the unit that was cut off."""
    plans: bool
    """It may have gone by another plan than today's."""
    following: bool
    """It may have made contacts follow a plan that do not yet."""


class Unit:
    """``finish`` returns what to send and puts the rows; until then nothing but memory changes."""

    def __init__(
        self, plans: Plans, timers: Timers, rows: State, *, partitions: int, now_ms: int, doubt: Doubt
    ) -> None:
        self._plans = plans
        self._timers = timers
        self._rows = rows
        self._partitions = partitions
        self._started_ms = self._now_ms = self._latest_ms = now_ms
        self._doubt = doubt
        self._held: dict[str, Held] = {}
        self._changes: list[Change] = []
        self._applied: list[tuple[Held | None, Change]] = []
        self._redirected: dict[str, list[Event]] = {}
        self._absorbs: list[Absorb] = []

    # --- inputs

    def at(self, moment_ms: int) -> None:
        """What follows is judged as of this moment."""
        self._now_ms = moment_ms
        self._latest_ms = moment_ms + MAX_SKEW_MS

    def event(self, event: Event, sent_ms: int) -> None:
        """``sent_ms`` is the time of the record that it came in."""
        if event["received_ms"] > self._now_ms:
            self._now_ms = min(event["received_ms"], self._latest_ms)
        contact_id = event["contact_id"]
        if not contact_id:
            self._apply(None, event, [], [])
            return
        held = self._hold(contact_id, event["workspace"], event["environment"])
        said = profile.said_by(event)
        if sent_ms <= self._doubt.until_ms:
            counted = event["type"] if event["kind"] == TRACK else ""
            some = held.plan.concerned(counted, said.get("set", ()), said.get("consents", ()))
            held.mention(held.plan.segments if self._doubt.plans else some)
        if isinstance(held.row, Redirect):
            self._redirected.setdefault(contact_id, []).append(event)
            return
        entered, left = held.hear(held.row, event, said)
        self._apply(held, event, entered, left)

    def merge(self, merge: Merge) -> None:
        """Idempotent by version; a contact that wins over itself stands for itself again."""
        held = self._hold(merge["loser"], merge["workspace"], merge["environment"])
        row = held.row
        if merge["version"] <= (row.version if isinstance(row, Redirect) else row.merge_version):
            return
        if merge["winner"] == merge["loser"]:
            held.restore(merge["version"])
        elif isinstance(row, Redirect):
            # what it had is on its way through the winner of before, which forwards
            held.redirect(row, merge)
        else:
            self._absorbs.append(
                Absorb(
                    workspace=merge["workspace"],
                    environment=merge["environment"],
                    winner=merge["winner"],
                    loser=merge["loser"],
                    version=merge["version"],
                    at_ms=merge["at_ms"],
                    event_id=merge["event_id"],
                    identifier=merge["identifier"],
                    state=b"" if row.is_empty else row.payload(),
                    events=[],
                )
            )
            held.lose(row, merge)

    def absorb(self, absorb: Absorb, sent_ms: int) -> None:
        """A loser's state, or events that came to it too late."""
        held = self._hold(absorb["winner"], absorb["workspace"], absorb["environment"])
        has_news = bool(absorb["state"] or absorb["identifier"])
        if has_news and sent_ms <= self._doubt.until_ms:
            held.mention(held.plan.segments)
        if has_news and isinstance(held.row, Redirect):
            self._absorbs.append({**absorb, "winner": held.row.winner, "events": []})
        elif has_news and isinstance(held.row, Contact):
            held.absorb(held.row, absorb)
        for event in absorb["events"]:
            event["contact_id"] = absorb["winner"]
            self.event(event, sent_ms)

    def due(self, key: bytes) -> None:
        """A contact whose timer has fired; its next one is set in any case."""
        row = self._rows.get(TABLE, key)
        if row is None:
            return
        due_ms = state.due_of(row)
        if due_ms > self._now_ms:
            self._timers.move(key, 0, due_ms)
        elif due_ms:
            self._take(key.decode(), state.load(row)).was_due = 0

    def follow(self, key: bytes, row: bytes) -> bool:
        """A contact that may still follow an old plan; whether it did."""
        found = state.load(row)
        if isinstance(found, Redirect) or found.plan == self._plans.of(found.workspace, found.environment).digest:
            return False
        self._take(key.decode(), found)
        return True

    # --- outputs

    def finish(self) -> list[Send]:
        """Sends that must be durable before the rows are."""
        for contact_id, held in self._held.items():
            held.finish()
            if held.dirty:
                self._put(contact_id.encode(), held)
        for holder, change in self._applied:
            change["version"] = holder.row.revision if holder is not None else 0
        self._changes += [change for _, change in self._applied]
        for loser, events in self._redirected.items():
            self._absorbs += self._late(self._held[loser], loser, events)
        sends = [
            Send(
                topics.ABSORBS.name,
                partition_of(absorb["winner"], self._partitions),
                absorb["winner"].encode(),
                codec.encode_absorb(absorb),
            )
            for absorb in self._absorbs
        ]
        sizes = [CHANGE_BYTES + len(change.get("profile", b"")) for change in self._changes]
        sends += [
            Send(topics.CHANGES.name, self._rows.partition, None, codec.encode_changes(self._changes[some]))
            for some in slices(sizes)
        ]
        return sends

    def _put(self, key: bytes, held: Held) -> None:
        row = state.dump(held.row)
        if len(row) > state.MAX_ROW and isinstance(held.row, Contact):
            log.warning("contact %s is too large to keep; its oldest attributes and events go", held.contact_id)
            state.shrink(held.row)
            row = state.dump(held.row)
        self._rows.put(TABLE, key, row)
        self._timers.move(key, held.was_due, state.due_of(row))

    def _late(self, held: Held, loser: str, events: list[Event]) -> Iterator[Absorb]:
        row = held.row
        if not isinstance(row, Redirect):
            raise TypeError(f"{loser} is no redirect")
        sizes = [EVENT_BYTES + len(e["properties"]) + len(e["context"]) + len(e["profile"]) for e in events]
        for some in slices(sizes):
            yield Absorb(
                workspace=row.workspace,
                environment=row.environment,
                winner=row.winner,
                loser=loser,
                version=row.version,
                at_ms=self._now_ms,
                event_id=events[some.start]["event_id"],
                identifier=None,
                state=b"",
                events=events[some],
            )

    def _apply(self, held: Held | None, event: Event, entered: list[str], left: list[str]) -> None:
        if event["reply_to"]:
            change = Change(
                workspace=event["workspace"],
                environment=event["environment"],
                contact_id=event["contact_id"],
                kind="applied",
                version=0,
                at_ms=self._now_ms,
                event_id=event["event_id"],
                reply_to=event["reply_to"],
                task_id=event["task_id"],
                entered=entered,
                left=left,
            )
            self._applied.append((held, change))

    # --- contacts

    def _hold(self, contact_id: str, workspace: str, environment: str) -> Held:
        held = self._held.get(contact_id)
        if held is None:
            row = self._rows.get(TABLE, contact_id.encode())
            return self._take(contact_id, Contact(workspace, environment) if row is None else state.load(row))
        if held.now_ms != self._now_ms:
            held.now_ms = self._now_ms
            self._tick(held)
        return held

    def _take(self, contact_id: str, row: Row) -> Held:
        plan = self._plans.of(row.workspace, row.environment)
        held = Held(contact_id, row, plan, self._changes, started_ms=self._started_ms, now_ms=self._now_ms)
        self._held[contact_id] = held
        if isinstance(row, Contact) and row.plan != plan.digest:
            asked = held.refresh(row, self._plans.versions(row.plan))
            if self._doubt.following:
                held.mention(asked)
        self._tick(held)
        return held

    def _tick(self, held: Held) -> None:
        if isinstance(held.row, Contact) and held.row.dues:
            due_ms = held.row.due
            if due_ms <= self._now_ms:
                asked = held.tick(held.row)
                if due_ms <= self._doubt.until_ms:
                    held.mention(asked)


def slices(sizes: list[int]) -> Iterator[slice]:
    """Consecutive items as few groups, none over ``MAX_RECORD`` unless by a single item."""
    start, size = 0, 0
    for index, one in enumerate(sizes):
        if size and size + one > MAX_RECORD:
            yield slice(start, index)
            start, size = index, 0
        size += one
    if sizes:
        yield slice(start, len(sizes))
