"""A contact and the segments to evaluate in; its changes out: memberships by cause, and its profile once.

Evaluation follows each cause at once, so a membership change names the event that made it.

After a crash the changes of the interrupted unit may be published while its state is not saved, and the repeat may
have another result (time has passed, records came in another order). So memberships that a replayed record may
have changed are emitted again with a newer version: ``reemit``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from processors.membership import profile
from processors.membership.conditions import Plan
from processors.membership.contact_state import Contact, Row
from schemas.records.records import RESTATED, Change
from schemas.rules.windows import NEVER

BY_EVENT, BY_TIME, BY_RULE, BY_MERGE = "event", "time", "rule", "merged"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a membership changes; ``at_ms`` is when that became so."""

    reason: str
    at_ms: int
    event_id: str = ""


class ChangeEmitter:
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
        "was_pending",
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
        self.was_pending = frozenset(row.pending) if isinstance(row, Contact) else frozenset()
        self.dirty = False
        self._told = False
        self._mentioned: set[str] = set()
        self._spoken: set[str] = set()

    def reemit(self, segments: Iterable[str]) -> None:
        """Say at the end how these are, whether or not they change."""
        self._mentioned.update(segments)

    def finish(self) -> None:
        """Say what is said once for all causes."""
        for segment in sorted(self._mentioned - self._spoken):
            self._restate(segment)
        if self._told and isinstance(self.row, Contact) and not self.row.pending:
            self._say("profile", self.now_ms, {"profile": profile.snapshot(self.row)})
            self._told = False

    def _evaluate(self, contact: Contact, segments: Iterable[str], cause: Cause) -> tuple[list[str], list[str]]:
        plan, members = self.plan, contact.members
        entered: list[str] = []
        left: list[str] = []
        if contact.pending:
            return entered, left  # all of it is asked at the end
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
