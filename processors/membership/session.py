"""One contact in a unit of work: events, merges, splits, time and new rules in, its changes out."""

from collections.abc import Iterable

import orjson

from processors.membership import contact_state, profile
from processors.membership.changes import BY_EVENT, BY_MERGE, BY_TIME, Cause, ChangeEmitter
from processors.membership.conditions import Plan
from processors.membership.contact_state import Contact, Redirect, Row
from processors.membership.plans import Versions
from processors.membership.profile import ProfileFields, Stamp
from schemas.control import static_segments
from schemas.records import identity, sameness
from schemas.records.records import BY_RULE, CARRIED, TRACK, Absorb, Change, Event, Identifier, Merge, Rebuild
from schemas.rules import windows
from schemas.times import MINUTE_MS


def members_of(home: tuple[str, str], rebuild: Rebuild) -> dict[str, Identifier]:
    """Returns the identifiers of a rebuild by their own contact ids."""
    return {identity.contact_id(*home, member["type"], member["value"]): member for member in rebuild["members"]}


class ContactSession:
    """Each method is a cause; ``finish`` comes last. ``now_ms`` may move on between calls."""

    __slots__ = (
        "_changed",
        "_emitter",
        "_profile_changed",
        "_reemitted",
        "contact_id",
        "now_ms",
        "plan",
        "row",
        "was_due",
        "was_pending",
    )

    def __init__(
        self, contact_id: str, row: Row, plan: Plan, changes: list[Change], *, started_ms: int, now_ms: int
    ) -> None:
        self.contact_id = contact_id
        self.row = row
        self.plan = plan
        self.now_ms = now_ms
        self.was_due = row.due if isinstance(row, Contact) else 0
        self.was_pending = frozenset(row.pending) if isinstance(row, Contact) else frozenset()
        self._emitter = ChangeEmitter(contact_id, plan, changes, started_ms)
        self._changed = self._profile_changed = False
        self._reemitted: frozenset[str] = frozenset()

    @property
    def dirty(self) -> bool:
        """Whether the row has to be kept."""
        return self._changed or self._emitter.has_emitted

    def reemit(self, segments: Iterable[str]) -> None:
        """Makes ``finish`` emit these memberships, even if they do not change."""
        self._reemitted = self._reemitted.union(segments)

    def finish(self) -> None:
        """Emit the changes that all causes share."""
        if self._reemitted:
            self._emitter.restate(self.row, self._reemitted, self.now_ms)
        if self._profile_changed and isinstance(self.row, Contact) and not self.row.pending:
            self._emitter.emit(self.row, "profile", self.now_ms, {"profile": profile.snapshot(self.row)})
            self._profile_changed = False

    def _evaluate(self, contact: Contact, segments: Iterable[str], cause: Cause) -> tuple[list[str], list[str]]:
        return self._emitter.evaluate(contact, segments, cause, self.now_ms)

    # --- causes

    def tick(self, contact: Contact) -> list[str]:
        """Apply the passage of time; returns the evaluated segments."""
        due = sorted((due, segment) for segment, due in contact.dues.items() if due <= self.now_ms)
        if due:
            contact_state.prune(contact, self.plan.keeps, list(contact.counts), self.now_ms)
        for due_ms, segment in due:
            del contact.dues[segment]
            self._changed = True
            self._evaluate(contact, [segment], Cause(BY_TIME, due_ms))
        return [segment for _, segment in due]

    def refresh(self, contact: Contact, before: Versions | None) -> list[str]:
        """Replaces the plan ``before`` (``None``: unknown) by the present plan; returns the evaluated segments."""
        plan = self.plan
        cause = Cause(BY_RULE, self.now_ms)
        contact.plan = plan.digest
        self._changed = True
        if before is None and contact.is_blank:
            return []
        for segment in [s for s in contact.members if s not in plan.versions]:
            self._emitter.leave(contact, segment, cause)
        self._forget_lists(contact, before)
        contact.dues = {s: due for s, due in contact.dues.items() if s in plan.segments}
        contact.counts = {c: series for c, series in contact.counts.items() if c in plan.conditions}
        contact_state.prune(contact, plan.keeps, list(contact.counts), self.now_ms)
        if contact.is_empty:
            return []
        changed = [s for s in plan.segments if before is None or before.get(s) != plan.versions[s]]
        self._evaluate(contact, changed, cause)
        return changed

    def _forget_lists(self, contact: Contact, before: Versions | None) -> None:
        """Removes the attributes of deleted static segments; keeps those of segments that the plan lacks yet."""
        for segment in [s for s in before or () if s not in self.plan.versions]:
            if contact.attributes.pop(static_segments.attribute_of(segment), None) is not None:
                self._profile_changed = True

    def apply_event(self, contact: Contact, event: Event, fields: ProfileFields) -> tuple[list[str], list[str]]:
        """Applies an event; returns the segments that the contact entered and left by it."""
        touched = self._learn(contact, event, fields)
        if not touched:
            return [], []
        self._changed = True
        return self._evaluate(
            contact, touched, Cause(BY_EVENT, min(event["timestamp_ms"], self.now_ms), event["event_id"])
        )

    def is_foreign(self, event: Event) -> bool:
        """Whether a split took the event away."""
        foreign = self.row.foreign if isinstance(self.row, Contact) else {}
        return bool(foreign) and identity.own_contact_id(event) in foreign

    def recount(self, contact: Contact, event: Event) -> None:
        """Counts a historical event for conditions that may lack it; the event changes nothing else."""
        touched: set[str] = set()
        if event["kind"] == TRACK and event["type"] in self.plan.by_event:
            self._count(contact, event, touched)
        if touched:
            self._changed = True
            self._evaluate(contact, touched, Cause(BY_RULE, self.now_ms))

    def _learn(self, contact: Contact, event: Event, fields: ProfileFields) -> set[str]:
        """The segments to evaluate again."""
        plan = self.plan
        touched = set(plan.default_members) if contact.is_empty else set()
        stamp = profile.stamp_of(event)
        if event["identifiers"]:
            first = event["identifiers"][0]
            if contact_state.identify(contact, first["type"], first["value"], stamp[0], stamp[1]):
                self._profile_changed = True
                touched |= plan.by_identity
            kept, shown = profile.addressed(contact, event, stamp)
            self._changed |= kept
            self._profile_changed |= shown
            if len(event["identifiers"]) > 1 and profile.learn_standing(contact, event):
                self._profile_changed = True
        if fields:
            learnt = profile.learn(contact, event, fields, stamp)
            self._profile_changed |= learnt.changed
            self._changed |= learnt.kept
            if plan.by_attribute:
                touched.update(*(plan.by_attribute.get(name, ()) for name in learnt.attributes))
            if plan.by_consent:
                touched.update(*(plan.by_consent.get(name, ()) for name in learnt.consents))
            if learnt.recorded:
                self._consent(event, learnt.recorded, stamp)
        if event["kind"] == TRACK and event["type"] in plan.by_event:
            self._count(contact, event, touched)
        self._date(contact, event["received_ms"], stamp[0])
        return touched

    def absorb(self, contact: Contact, absorb: Absorb) -> None:
        """Apply a loser's absorb: its identifier, and its former state."""
        brought: set[str] = set()
        if absorb["state"]:
            other = contact_state.load_payload(absorb["state"])
            if isinstance(other, Contact):
                contact_state.join(contact, other)
                brought = set(other.members).difference(contact.members)
        identifier = absorb["identifier"]
        if identifier is not None:
            contact_state.identify(
                contact, identifier["type"], identifier["value"], absorb["at_ms"], absorb["event_id"]
            )
        profile.trim(contact)
        contact_state.prune(contact, self.plan.keeps, list(contact.counts), self.now_ms)
        self._rejoin(contact, absorb)
        self._profile_changed = self._changed = True
        cause = Cause(BY_MERGE, min(absorb["at_ms"], self.now_ms), absorb["event_id"])
        self._carry(contact, brought, cause)
        self._evaluate(contact, self.plan.segments, cause)

    def _carry(self, contact: Contact, brought: set[str], cause: Cause) -> None:
        """Carries over the memberships that only the loser had, or emits that the person leaves them now."""
        plan = self.plan
        judged = [s for s in brought if s in plan.segments and s not in plan.pending and s not in plan.disabled]
        self._evaluate(contact, judged, Cause(CARRIED, cause.at_ms, cause.event_id))
        for segment in sorted(judged):
            if segment not in contact.members and not contact.pending:
                version = plan.segments[segment].version
                self._emitter.membership(contact, segment, cause, member=False, at_ms=cause.at_ms, version=version)

    def merge_into(self, contact: Contact, merge: Merge) -> None:
        """Redirects the contact to its winner; the caller sends its state on."""
        cause = Cause(CARRIED, min(merge["at_ms"], self.now_ms), merge["event_id"])
        for segment in list(contact.members):
            self._emitter.leave(contact, segment, cause)
        redirect = Redirect(contact.workspace, contact.environment, merge["winner"], merge["version"], contact.revision)
        self.redirect(redirect, merge)

    def redirect(self, redirect: Redirect, merge: Merge) -> None:
        """Makes the row a redirect to the winner."""
        redirect.winner, redirect.version = merge["winner"], merge["version"]
        self.row, self._changed, self._profile_changed = redirect, True, False
        self._emitter.emit(
            redirect, "profile", self.now_ms, {"event_id": merge["event_id"], "merged_into": redirect.winner}
        )

    def _rejoin(self, contact: Contact, absorb: Absorb) -> None:
        """Clears the foreign marker of ids that a split removed and a merge returned."""
        if not contact.foreign:
            return
        home = (contact.workspace, contact.environment)
        ours = {identity.contact_id(*home, kind, v) for kind, values in contact.identifiers.items() for v in values}
        for own in [own for own, version in contact.foreign.items() if own in ours and version < absorb["version"]]:
            del contact.foreign[own]

    def split(self, contact: Contact, merge: Merge) -> None:
        """The contact's identifiers have changed: it starts empty, and waits for their history."""
        contact.merge_version = merge["version"]
        contact.forget()
        home = (contact.workspace, contact.environment)
        for rebuild in merge.get("rebuilds", ()):
            if rebuild["winner"] != self.contact_id:
                contact.foreign.update(dict.fromkeys(members_of(home, rebuild), merge["version"]))
        for rebuild in merge.get("rebuilds", ()):
            if rebuild["winner"] == self.contact_id:
                self.await_history(contact, rebuild, (merge["at_ms"], merge["event_id"]))
        self._changed = True

    def await_history(self, contact: Contact, rebuild: Rebuild, stamp: tuple[int, str]) -> None:
        """Emit no change of the contact until the history of these identifiers has been applied."""
        contact.pending.update(members_of((contact.workspace, contact.environment), rebuild))
        for member in rebuild["members"]:
            contact_state.identify(contact, member["type"], member["value"], *stamp)
        self._changed = True

    def backfill_done(self, contact: Contact, members: Iterable[str]) -> None:
        """The history of these members was applied. When no member waits any more, changes are emitted."""
        awaited = [own for own in members if contact.pending.pop(own, None)]
        self._changed = True
        if awaited and not contact.pending:
            profile.trim(contact)
            contact_state.prune(contact, self.plan.keeps, list(contact.counts), self.now_ms)
            self._profile_changed = True
            self._evaluate(contact, self.plan.segments, Cause(BY_MERGE, self.now_ms))

    def restore(self, version: int) -> None:
        """The contact is separate again; its former state stays with its former winner."""
        if isinstance(self.row, Redirect):
            contact = Contact(self.row.workspace, self.row.environment)
            contact.revision = self.row.revision
            contact.plan = self.plan.digest
            self.row = contact
        self.row.merge_version = version
        self._changed = True

    # --- applying events

    def _consent(self, event: Event, given: dict[str, bool | None], stamp: Stamp) -> None:
        """Emits each consent that the event gave or withdrew, even if a later one holds."""
        at_ms, event_id = stamp
        key = sameness.event_key(event)
        for name, value in given.items():
            consent = orjson.dumps({"consent": name, "value": value, "key": key})
            self._emitter.emit(self.row, "consent", at_ms, {"event_id": event_id, "profile": consent})

    def _count(self, contact: Contact, event: Event, touched: set[str]) -> None:
        properties = None
        time_ms = event["timestamp_ms"]
        key = ""
        for condition in self.plan.by_event[event["type"]]:
            if condition.reads_properties and properties is None:
                properties = orjson.loads(event["properties"] or b"{}")
            value = self.plan.matches(condition, time_ms, properties)
            if value is None:
                continue
            key = key or sameness.counted_key(event["event_id"], sameness.sender_of(event))
            series = contact.counts.setdefault(condition.id, [[], [], *([] for _ in value)])
            if windows.add(series, time_ms, key, condition.keep, self.now_ms, *value):
                touched |= condition.segments
            if not series[0]:
                del contact.counts[condition.id]

    def _date(self, contact: Contact, received: int, at_ms: int) -> None:
        if not contact.created or received < contact.created:
            contact.created = received
            self._profile_changed = True
        # by the minute: else each event of a busy contact would be a write
        seen = at_ms // MINUTE_MS * MINUTE_MS
        if seen > contact.seen:
            contact.seen = seen
            self._changed = True
        self._changed |= self._profile_changed
