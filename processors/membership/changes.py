"""A contact and the segments to evaluate in; its changes out: memberships by cause, profile and consents as given.

Evaluation follows each cause at once, so a membership change names the event that made it.

After a crash the changes of the interrupted unit may be published while its state is not saved, and the repeat may
have another result (time has passed, records came in another order). So memberships that a replayed record may
have changed are emitted again with a newer version: ``restate``.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple, cast

from processors.membership.conditions import Plan
from processors.membership.contact_state import Contact, Row
from schemas.records.records import RESTATED, Change
from schemas.rules.windows import NEVER

BY_EVENT: Final = "event"
BY_TIME: Final = "time"
BY_MERGE: Final = "merged"


class Cause(NamedTuple):
    """Why a membership changes; ``at_ms`` is when that became so."""

    reason: str
    at_ms: int
    event_id: str = ""


class ChangeEmitter:
    """Appends one contact's changes to ``changes``, the list of its unit, in the order of their causes.

    ``started_ms`` is the unit's start by our clock: a repeat of the unit gives newer versions.
    """

    __slots__ = ("_changes", "_contact_id", "_plan", "_segments", "_started_ms", "has_emitted")

    def __init__(self, contact_id: str, plan: Plan, changes: list[Change], started_ms: int) -> None:
        self._contact_id = contact_id
        self._plan = plan
        self._changes = changes
        self._started_ms = started_ms
        self._segments: set[str] = set()
        """The segments whose membership was emitted."""
        self.has_emitted = False
        """Each change raises the row's revision, so the row has to be kept then."""

    def evaluate(
        self, contact: Contact, segments: Iterable[str], cause: Cause, now_ms: int
    ) -> tuple[list[str], list[str]]:
        """Updates these memberships; returns the segments that the contact entered and left."""
        plan, members = self._plan, contact.members
        entered: list[str] = []
        left: list[str] = []
        if contact.pending:
            return entered, left  # all of it is evaluated at the end
        for name in sorted(segments):
            segment = plan.segments.get(name)
            verdict = None if segment is None else plan.judge(segment, contact, now_ms)
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
                self.membership(contact, name, cause, member=True, at_ms=cause.at_ms, version=segment.version)
            elif not member and name in members:
                left.append(name)
                self.leave(contact, name, cause)
        return entered, left

    def leave(self, contact: Contact, name: str, cause: Cause) -> None:
        """End a membership, even if the rule still holds."""
        since, version = contact.members.pop(name)
        segment = self._plan.segments.get(name)
        version = version if segment is None else segment.version
        self.membership(contact, name, cause, member=False, at_ms=max(cause.at_ms, since), version=version)

    def restate(self, row: Row, segments: Collection[str], now_ms: int) -> None:
        """Emit how these memberships are, unless it was done."""
        for name in sorted(set(segments) - self._segments):
            segment = self._plan.segments.get(name)
            if segment is None:
                continue
            membership = row.members.get(name) if isinstance(row, Contact) else None
            at_ms, version = membership or (now_ms, segment.version)
            is_member = membership is not None
            self.membership(row, name, Cause(RESTATED, at_ms), member=is_member, at_ms=at_ms, version=version)

    def membership(self, row: Row, name: str, cause: Cause, *, member: bool, at_ms: int, version: int) -> None:
        """A membership that begins, ends or is stated again."""
        self._segments.add(name)
        fields = {"segment_id": name, "member": member, "segment_version": version, "reason": cause.reason}
        self.emit(row, "membership", at_ms, {"event_id": cause.event_id, **fields})

    def emit(self, row: Row, kind: str, at_ms: int, fields: dict[str, Any]) -> None:
        """Any change, with the row's next version."""
        change = {
            "workspace": row.workspace,
            "environment": row.environment,
            "contact_id": self._contact_id,
            "kind": kind,
            "version": row.next_version(self._started_ms),
            "at_ms": at_ms,
            **fields,
        }
        self.has_emitted = True
        self._changes.append(cast("Change", change))
