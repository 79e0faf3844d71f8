"""One contact in the hands of a unit of work: events, joins, time and new rules in, its changes out.

Evaluation follows each cause at once, so a membership change names the event that made it.

After a crash the changes of the unit that it cut off may be out while the state is not, and the repeat may
come to another result (time has passed, records came in another order). So whatever a cause from before
the restart may have changed is told again as it is now, with a newer version: ``mention``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import orjson

from processors.segments import profile, state, windows
from processors.segments.conditions import Plan
from processors.segments.plans import Versions
from processors.segments.profile import Said
from processors.segments.state import Contact, Redirect, Row
from processors.segments.windows import NEVER
from schemas.records import TRACK, Absorb, Change, Event, Merge

MINUTE_MS = 60_000
BY_EVENT, BY_TIME, BY_RULE, BY_MERGE, RESTATED = "event", "time", "rule", "merged", "restated"
"""Reasons of a membership change; ``RESTATED`` is no change but what is so."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a membership changes; ``at_ms`` is when that became so."""

    reason: str
    at_ms: int
    event_id: str = ""


class Held:
    """``changes`` is the unit's, in the order of what happened; ``now_ms`` may move on between calls.

    ``started_ms`` is our own clock's: a repeat of the unit has a later one, and newer versions with it.
    """

    __slots__ = (
        "_mentioned",
        "_spoken",
        "_started_ms",
        "_told",
        "changes",
        "contact_id",
        "dirty",
        "now_ms",
        "plan",
        "row",
        "was_due",
    )

    def __init__(
        self, contact_id: str, row: Row, plan: Plan, changes: list[Change], *, started_ms: int, now_ms: int
    ) -> None:
        self.contact_id = contact_id
        self.row = row
        self.plan = plan
        self.changes = changes
        self.now_ms = now_ms
        self._started_ms = started_ms
        self.was_due = row.due if isinstance(row, Contact) else 0
        self.dirty = False
        self._told = False
        self._mentioned: set[str] = set()
        self._spoken: set[str] = set()

    # --- causes

    def tick(self, contact: Contact) -> list[str]:
        """Let time do what it has done by now; the segments that were asked."""
        due = sorted((due, segment) for segment, due in contact.dues.items() if due <= self.now_ms)
        if due:
            state.prune(contact, self.plan.keeps, list(contact.counts), self.now_ms)
        for due_ms, segment in due:
            del contact.dues[segment]
            self.dirty = True
            self._evaluate(contact, [segment], Cause(BY_TIME, due_ms))
        return [segment for _, segment in due]

    def refresh(self, contact: Contact, before: Versions | None) -> list[str]:
        """Follow the plan instead of the one that was made of ``before`` (``None``: unknown); what was asked."""
        plan = self.plan
        cause = Cause(BY_RULE, self.now_ms)
        contact.plan = plan.digest
        self.dirty = True
        for segment in [s for s in contact.members if s not in plan.versions]:
            self._leave(contact, segment, cause)
        contact.dues = {s: due for s, due in contact.dues.items() if s in plan.segments}
        contact.counts = {c: series for c, series in contact.counts.items() if c in plan.conditions}
        state.prune(contact, plan.keeps, list(contact.counts), self.now_ms)
        if contact.is_empty:
            return []
        changed = [s for s in plan.segments if before is None or before.get(s) != plan.versions[s]]
        self._evaluate(contact, changed, cause)
        return changed

    def hear(self, contact: Contact, event: Event, said: Said) -> tuple[list[str], list[str]]:
        """An event of the contact; the segments it entered and left by it."""
        plan = self.plan
        touched = set(plan.when_empty) if contact.is_empty else set()
        if event["identifiers"]:
            first = event["identifiers"][0]
            if state.identify(contact, first["type"], first["value"], *profile.stamp_of(event)):
                self._told = True
                touched |= plan.by_identity
        if said:
            learnt = profile.learn(contact, event, said)
            self._told |= learnt.changed
            self.dirty |= learnt.kept
            touched.update(*(plan.by_attribute.get(name, ()) for name in learnt.attributes))
            touched.update(*(plan.by_consent.get(name, ()) for name in learnt.consents))
            self._consent(event, profile.consents_of(said))
        if event["kind"] == TRACK and event["type"] in plan.by_event:
            self._count(contact, event, touched)
        self._date(contact, event)
        if not touched:
            return [], []
        self.dirty = True
        return self._evaluate(
            contact, touched, Cause(BY_EVENT, min(event["timestamp_ms"], self.now_ms), event["event_id"])
        )

    def absorb(self, contact: Contact, absorb: Absorb) -> None:
        """What a loser brings: its identifier, and the state it had."""
        if absorb["state"]:
            other = state.load_payload(absorb["state"])
            if isinstance(other, Contact):
                state.join(contact, other)
        identifier = absorb["identifier"]
        if identifier is not None:
            state.identify(contact, identifier["type"], identifier["value"], absorb["at_ms"], absorb["event_id"])
        profile.trim(contact)
        state.prune(contact, self.plan.keeps, list(contact.counts), self.now_ms)
        self._told = self.dirty = True
        cause = Cause(BY_MERGE, min(absorb["at_ms"], self.now_ms), absorb["event_id"])
        self._evaluate(contact, self.plan.segments, cause)

    def lose(self, contact: Contact, merge: Merge) -> None:
        """Another contact has what was this one's; its state is the caller's to send there."""
        cause = Cause(BY_MERGE, min(merge["at_ms"], self.now_ms), merge["event_id"])
        for segment in list(contact.members):
            self._leave(contact, segment, cause)
        redirect = Redirect(contact.workspace, contact.environment, merge["winner"], merge["version"], contact.revision)
        self.redirect(redirect, merge)

    def redirect(self, redirect: Redirect, merge: Merge) -> None:
        """The contact is another one from now on."""
        redirect.winner, redirect.version = merge["winner"], merge["version"]
        self.row, self.dirty, self._told = redirect, True, False
        self._say("profile", self.now_ms, {"event_id": merge["event_id"], "merged_into": redirect.winner})

    def restore(self, version: int) -> None:
        """The contact stands for itself again; what it had went to its winner."""
        if isinstance(self.row, Redirect):
            contact = Contact(self.row.workspace, self.row.environment)
            contact.revision = self.row.revision
            contact.plan = self.plan.digest
            self.row = contact
        self.row.merge_version = version
        self.dirty = True

    def mention(self, segments: Iterable[str]) -> None:
        """Say at the end how these are, whether or not they change."""
        self._mentioned.update(segments)

    def finish(self) -> None:
        """Say what is said once for all causes."""
        for segment in sorted(self._mentioned - self._spoken):
            self._restate(segment)
        if self._told and isinstance(self.row, Contact):
            self._say("profile", self.now_ms, {"profile": profile.snapshot(self.row)})
            self._told = False

    # --- effects

    def _consent(self, event: Event, given: dict[str, bool | None]) -> None:
        """Each consent that was given or withdrawn, at its time, whichever of them holds today."""
        at_ms, event_id = profile.stamp_of(event)
        for name, value in given.items():
            said = orjson.dumps({"consent": name, "value": value})
            self._say("consent", at_ms, {"event_id": event_id, "profile": said})

    def _count(self, contact: Contact, event: Event, touched: set[str]) -> None:
        properties = None
        time_ms = event["timestamp_ms"]
        for condition in self.plan.by_event[event["type"]]:
            if condition.tests and properties is None:
                properties = orjson.loads(event["properties"] or b"{}")
            if not self.plan.matches(condition, time_ms, properties):
                continue
            series = contact.counts.setdefault(condition.id, [[], []])
            if windows.add(series, time_ms, event["event_id"], condition.keep, self.now_ms):
                touched |= condition.segments
            if not series[0]:
                del contact.counts[condition.id]

    def _date(self, contact: Contact, event: Event) -> None:
        received = event["received_ms"]
        if not contact.created or received < contact.created:
            contact.created = received
            self._told = True
        # by the minute: else each event of a busy contact would be a write
        seen = profile.stamp_of(event)[0] // MINUTE_MS * MINUTE_MS
        if seen > contact.seen:
            contact.seen = seen
            self.dirty = True
        self.dirty |= self._told

    def _evaluate(self, contact: Contact, segments: Iterable[str], cause: Cause) -> tuple[list[str], list[str]]:
        plan, members = self.plan, contact.members
        entered: list[str] = []
        left: list[str] = []
        for name in sorted(segments):
            segment = plan.segments.get(name)
            verdict = None if segment is None else plan.judge(segment, contact, self.now_ms)
            if segment is None or verdict is None:
                contact.dues.pop(name, None)
                continue
            member, due = verdict
            if due < NEVER:
                contact.dues[name] = due
            else:
                contact.dues.pop(name, None)
            if member and name not in members:
                members[name] = [cause.at_ms, segment.version]
                entered.append(name)
                self._change(name, cause, member=True, at_ms=cause.at_ms, version=segment.version)
            elif not member and name in members:
                left.append(name)
                self._leave(contact, name, cause)
        return entered, left

    def _leave(self, contact: Contact, name: str, cause: Cause) -> None:
        since, version = contact.members.pop(name)
        segment = self.plan.segments.get(name)
        version = version if segment is None else segment.version
        self._change(name, cause, member=False, at_ms=max(cause.at_ms, since), version=version)

    def _change(self, segment: str, cause: Cause, *, member: bool, at_ms: int, version: int) -> None:
        self.dirty = True
        self._spoken.add(segment)
        self._say(
            "membership",
            at_ms,
            {
                "event_id": cause.event_id,
                "segment_id": segment,
                "member": member,
                "segment_version": version,
                "reason": cause.reason,
            },
        )

    def _restate(self, name: str) -> None:
        segment = self.plan.segments.get(name)
        if segment is None:
            return
        known = self.row.members.get(name) if isinstance(self.row, Contact) else None
        at_ms, version = known or (self.now_ms, segment.version)
        self._change(name, Cause(RESTATED, at_ms), member=known is not None, at_ms=at_ms, version=version)

    def _say(self, kind: str, at_ms: int, what: dict[str, Any]) -> None:
        change = {
            "workspace": self.row.workspace,
            "environment": self.row.environment,
            "contact_id": self.contact_id,
            "kind": kind,
            "version": self.row.next_version(self._started_ms),
            "at_ms": at_ms,
            **what,
        }
        self.dirty = True
        self.changes.append(cast("Change", change))
