"""One batch of inputs and the rows of a partition in; messages and new rows out: each row is read and put once."""

import logging
from dataclasses import dataclass
from typing import Final

from processors.backfill.queue import BackfillChunk, BackfillRequest, ContactRebuild
from processors.membership import contact_state, profile
from processors.membership.contact_state import Contact, Redirect, Row
from processors.membership.plans import Plans
from processors.membership.session import ContactSession
from processors.membership.timers import Timers
from processors.runtime.stage import OutputRecord, PartitionState
from processors.segments import outbox
from schemas import topics
from schemas.records import codec, identity, sameness
from schemas.records.identity import partition_of
from schemas.records.records import CONTACT, TRACK, Absorb, Change, Event, Merge, Rebuild
from schemas.records.tenancy import ForeignContactError
from schemas.times import CLOCK_SKEW_MS

log = logging.getLogger(__name__)

TABLE: Final = topics.SEGMENT_STATES
REBUILD: Final = b"!rebuild/"
"""Prefix of a key: with a contact's key it names the row that marks the contact's history as awaited."""
ERASED: Final = b"!erased/"
"""Prefix of a key: with an erasure's id it names the marker of the erasure, with a contact's key its last version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayWindow:
    """Outputs that a crash may have published without saving the state."""

    until_ms: int
    """Records and due times up to here may have been in the interrupted unit."""
    plans: bool
    """The unit may have used another plan."""
    following: bool
    """It may have moved contacts to a plan without saving."""


class UnitOfWork:
    """``finish`` puts the rows and returns the outputs; until then only memory changes."""

    def __init__(
        self, plans: Plans, timers: Timers, rows: PartitionState, *, partitions: int, now_ms: int, window: ReplayWindow
    ) -> None:
        self._plans = plans
        self._timers = timers
        self._rows = rows
        self._partitions = partitions
        self._started_ms = self._now_ms = self._latest_ms = now_ms
        self._window = window
        self.has_erased = True
        """A contact of the partition may have been erased: its last version is looked for."""
        self._held: dict[str, ContactSession] = {}
        self._changes: list[Change] = []
        self._applied: list[tuple[ContactSession | None, Change]] = []
        self._written: set[int] = set()
        """Indexes of writes of a contact: their receipts carry its present state."""
        self._forwarded: dict[tuple[str, str], list[Event]] = {}
        """(contact that holds the events, contact that they belong to; empty: the winner) -> events."""
        self.requests: list[BackfillRequest] = []
        self.has_grown = False
        """The coverage has grown beyond the rows of this unit."""
        self._absorbs: list[Absorb] = []

    # --- inputs

    def at(self, moment_ms: int) -> None:
        """The evaluation time of rules from here on."""
        self._now_ms = moment_ms
        self._latest_ms = moment_ms + CLOCK_SKEW_MS

    def event(self, event: Event, sent_ms: int) -> None:
        """Applies an event; ``sent_ms`` is the time of its record."""
        if event["received_ms"] > self._now_ms:
            self._now_ms = min(event["received_ms"], self._latest_ms)
        contact_id = event["contact_id"]
        if not contact_id or event.get("repeat"):  # only the first copy counts, in any partition
            self._apply(None, event, [], [])
            return
        held = self._hold(contact_id, event["workspace"], event["environment"])
        fields = profile.fields_of(event)
        if sent_ms <= self._window.until_ms:
            counted = event["type"] if event["kind"] == TRACK else ""
            some = held.plan.affected_segments(counted, fields.get("set", ()), profile.all_consents(fields))
            held.reemit(held.plan.segments if self._window.plans else some)
        if isinstance(held.row, Redirect) or held.is_foreign(event):
            self._elsewhere(held, event)
            return
        entered, left = held.apply_event(held.row, event, fields)
        self._apply(held, event, entered, left)

    def seed(self, chunk: BackfillChunk) -> None:
        """Applies old events for conditions that have not counted them yet."""
        rebuilt = chunk.request.contact_id if isinstance(chunk.request, ContactRebuild) else ""
        for event in chunk.events:
            contact_id = rebuilt or event["contact_id"]
            if not rebuilt and partition_of(contact_id, self._partitions) != self._rows.partition:
                self._forwarded.setdefault((contact_id, contact_id), []).append(event)
                continue
            held = self._hold(contact_id, *chunk.request.home)
            if isinstance(held.row, Redirect) or held.is_foreign(event):
                self._elsewhere(held, event)
            elif rebuilt:
                held.apply_event(held.row, event, profile.fields_of(event))
            else:
                held.recount(held.row, event)
        if isinstance(chunk.request, ContactRebuild) and chunk.is_last:
            held = self._hold(rebuilt, *chunk.request.home)
            if isinstance(held.row, Contact):
                held.backfill_done(held.row, chunk.request.members)

    def _elsewhere(self, held: ContactSession, event: Event) -> None:
        """Forwards the event to the contact's winner, or to the contact that a split gave it to."""
        target = "" if isinstance(held.row, Redirect) else identity.own_contact_id(event)
        self._forwarded.setdefault((held.contact_id, target), []).append(event)

    def merge(self, merge: Merge) -> None:
        """Applies a merge; idempotent by version. A contact that wins over itself stands alone again."""
        held = self._hold(merge["loser"], merge["workspace"], merge["environment"])
        row = held.row
        if merge["version"] <= (row.version if isinstance(row, Redirect) else row.merge_version):
            return
        if merge["winner"] == merge["loser"]:
            held.restore(merge["version"])
            if merge.get("rebuilds") and isinstance(held.row, Contact):
                held.split(held.row, merge)
                self._absorbs += [
                    outbox.absorb_of(merge, rebuild["winner"], rebuild=rebuild)
                    for rebuild in merge["rebuilds"]
                    if rebuild["winner"] != merge["loser"]
                ]
        elif isinstance(row, Redirect):
            # the previous winner forwards its state, which is on its way
            held.redirect(row, merge)
        else:
            awaited = Rebuild(winner=merge["winner"], members=list(row.pending.values())) if row.pending else None
            state = b"" if row.is_empty else row.payload()
            self._absorbs.append(
                outbox.absorb_of(merge, merge["winner"], identifier=merge["identifier"], state=state, rebuild=awaited)
            )
            held.merge_into(row, merge)

    def absorb(self, absorb: Absorb, sent_ms: int) -> None:
        """Applies the state of a losing contact, or events that reached it too late."""
        held = self._hold(absorb["winner"], absorb["workspace"], absorb["environment"])
        rebuild = absorb.get("rebuild")
        has_news = bool(absorb["state"] or absorb["identifier"] or rebuild)
        if isinstance(held.row, Contact) and absorb["version"] < held.row.foreign.get(absorb["loser"], 0):
            has_news = False  # a split has retracted the absorbed state; its history goes elsewhere
        if rebuild and isinstance(held.row, Redirect) and held.row.version < absorb["version"]:
            held.restore(absorb["version"])
        if has_news and sent_ms <= self._window.until_ms:
            held.reemit(held.plan.segments)
        if has_news and isinstance(held.row, Redirect):
            self._absorbs.append({**absorb, "winner": held.row.winner, "events": []})
        elif has_news and isinstance(held.row, Contact):
            if rebuild:
                held.await_history(held.row, rebuild, (absorb["at_ms"], absorb["event_id"]))
            held.absorb(held.row, absorb)
        for event in absorb["events"]:
            event["contact_id"] = absorb["winner"]
            self.event(event, sent_ms)

    def due(self, key: bytes) -> None:
        """Evaluates a contact whose timer has fired; sets its next timer in any case."""
        row = self._rows.get(TABLE, key)
        if row is None:
            return
        due_ms = contact_state.due_of(row)
        if due_ms > self._now_ms:
            self._timers.move(key, 0, due_ms)
        elif due_ms:
            try:
                self._take(key.decode(), contact_state.load(row)).was_due = 0
            except ValueError:
                log.error("the row of contact %.100r cannot be read; its timer is dropped", key)  # noqa: TRY400

    def follow(self, key: bytes, row: bytes) -> bool:
        """Moves a contact to the current plan; returns whether it followed an old one."""
        try:
            contact = contact_state.load(row)
        except ValueError:
            log.error("the row of contact %.100r cannot be read; rules are not applied to it", key)  # noqa: TRY400
            return False
        if (
            isinstance(contact, Redirect)
            or contact.plan == self._plans.of(contact.workspace, contact.environment).digest
        ):
            return False
        self._take(key.decode(), contact)
        return True

    # --- outputs

    def finish(self) -> list[OutputRecord]:
        """Returns the outputs that must be durable before the rows."""
        for contact_id, held in self._held.items():
            held.finish()
            if held.dirty:
                self._put(contact_id.encode(), held)
        for place, (holder, change) in enumerate(self._applied):
            change["version"] = holder.row.revision if holder is not None else 0
            if place in self._written and holder is not None and isinstance(holder.row, Contact):
                change["profile"] = profile.receipted(holder.contact_id, holder.row)
        self._changes += [change for _, change in self._applied]
        for (holder_id, target), events in self._forwarded.items():
            row = self._held[holder_id].row if holder_id in self._held else None
            winner = row.winner if isinstance(row, Redirect) else target
            version = row.version if isinstance(row, Redirect) else 0
            self._absorbs += outbox.late(holder_id, winner, version, events, self._now_ms)
        sends = [
            OutputRecord(
                topics.ABSORBS.name,
                partition_of(absorb["winner"], self._partitions),
                absorb["winner"].encode(),
                codec.encode_absorb(absorb),
            )
            for absorb in self._absorbs
        ]
        return sends + outbox.changes(self._changes, self._rows.partition)

    def _put(self, key: bytes, held: ContactSession) -> None:
        row = contact_state.dump(held.row)
        if len(row) > contact_state.MAX_ROW and isinstance(held.row, Contact):
            log.warning("contact %s is too large to keep; its oldest attributes and events go", held.contact_id)
            contact_state.shrink(held.row)
            row = contact_state.dump(held.row)
        self._rows.put(TABLE, key, row)
        self._timers.move(key, held.was_due, contact_state.due_of(row))
        pending = held.row.pending if isinstance(held.row, Contact) else {}
        if pending and (news := {own: member for own, member in pending.items() if own not in held.was_pending}):
            home = (held.row.workspace, held.row.environment)
            partition, contact_id = self._rows.partition, held.contact_id
            self.requests.append(ContactRebuild(partition=partition, home=home, contact_id=contact_id, members=news))
            self._rows.put(TABLE, REBUILD + key, b"1")
        elif held.was_pending and not pending:
            self._rows.put(TABLE, REBUILD + key, None)

    def _apply(self, held: ContactSession | None, event: Event, entered: list[str], left: list[str]) -> None:
        if event["reply_to"]:
            change: Change = {
                "workspace": event["workspace"],
                "environment": event["environment"],
                "contact_id": event["contact_id"],
                "kind": "applied",
                "version": 0,
                "at_ms": self._now_ms,
                "event_id": sameness.event_key(event),
                "reply_to": event["reply_to"],
                "task_id": event["task_id"],
                "entered": entered,
                "left": left,
            }
            if event["kind"] == CONTACT:
                self._written.add(len(self._applied))
            self._applied.append((held, change))

    # --- contacts

    def _hold(self, contact_id: str, workspace: str, environment: str) -> ContactSession:
        held = self._held.get(contact_id)
        if held is None:
            stored = self._rows.get(TABLE, contact_id.encode())
            row = self._new(contact_id, workspace, environment) if stored is None else contact_state.load(stored)
            if (row.workspace, row.environment) != (workspace, environment):
                raise ForeignContactError(f"{contact_id} is no contact of {workspace}/{environment}")
            return self._take(contact_id, row)
        if held.now_ms != self._now_ms:
            held.now_ms = self._now_ms
            self._tick(held)
        return held

    def _new(self, contact_id: str, workspace: str, environment: str) -> Contact:
        contact = Contact(workspace, environment)
        if self.has_erased and (erased := self._rows.get(TABLE, ERASED + contact_id.encode())) is not None:
            contact.revision = int(erased[len(contact_state.NO_DUE) :])
        return contact

    def _take(self, contact_id: str, row: Row) -> ContactSession:
        plan = self._plans.of(row.workspace, row.environment)
        held = ContactSession(contact_id, row, plan, self._changes, started_ms=self._started_ms, now_ms=self._now_ms)
        self._held[contact_id] = held
        if isinstance(row, Contact) and row.plan != plan.digest:
            evaluated = held.refresh(row, self._plans.versions(row.plan))
            if self._window.following:
                held.reemit(evaluated)
        self._tick(held)
        return held

    def _tick(self, held: ContactSession) -> None:
        if isinstance(held.row, Contact) and held.row.dues:
            due_ms = held.row.due
            if due_ms <= self._now_ms:
                evaluated = held.tick(held.row)
                if due_ms <= self._window.until_ms:
                    held.reemit(evaluated)
