"""Segment definitions in, records on `control` out: the edge is the only writer of definitions; pure."""

from typing import Any

from ingest.events.publish import Publisher
from schemas import ids, topics
from schemas.api.requests.body import checked
from schemas.api.requests.segments import NewSegment, SegmentEdit
from schemas.control import control_state, static_segments
from schemas.control.control_state import ControlState, Segment
from schemas.control.lookup import require
from schemas.errors import ApiError
from schemas.rules import parse, rule_tree
from schemas.settings import Settings

_NO_RULE = "a static segment has a list of contacts, not a rule"


def new_segment(value: Any, workspace: str, environment: str, now_ms: int) -> Segment:
    """A definition from a POST body; raises ``ApiError`` with the path of the wrong field."""
    body = checked(NewSegment, value)
    is_static, has_rule = body.kind == "static", "rule" in body.model_fields_set
    if is_static and has_rule:
        raise ApiError("invalid_field", _NO_RULE, "rule")
    if not is_static and not has_rule:
        raise ApiError("missing_field", "rule is needed", "rule")
    if has_rule:
        parse.parse(body.rule)
    segment_id = ids.new_id("seg_", now_ms)
    return Segment(
        id=segment_id,
        workspace=workspace,
        environment=environment,
        name=body.name,
        kind=body.kind,
        rule=static_segments.rule_of(segment_id) if is_static else body.rule,
        version=1,
        include_existing=body.include_existing,
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def edited_segment(segment: Segment, value: Any, now_ms: int) -> Segment:
    """The definition after a PATCH; the version grows only where the rule changed."""
    body = checked(SegmentEdit, value)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if changes.pop("kind", segment.kind) != segment.kind:
        raise ApiError("invalid_field", "the kind of a segment cannot change", "kind")
    if segment.kind == "static" and "rule" in changes:
        raise ApiError("invalid_field", _NO_RULE, "rule")
    if "rule" in changes:
        parse.parse(body.rule)
    if changes.get("rule", segment.rule) != segment.rule:
        # each rule decides anew whether webhooks receive its first members
        changes = {"include_existing": False, **changes, "version": segment.version + 1}
    return segment.model_copy(update={**changes, "updated_ms": now_ms})


class ControlWriter:
    """Publishes definitions; every read after ``put`` shows the record."""

    def __init__(self, settings: Settings, state: ControlState, publisher: Publisher) -> None:
        self._topic = topics.name(topics.CONTROL, settings)
        self._state = state
        self._publisher = publisher
        self._numbers: dict[str, int] = {}

    def next_number(self, workspace: str) -> int:
        """Returns the number of a new campaign; if two edges choose the same number, the older campaign keeps it."""
        highest = max((c.number for c in self._state.campaigns_of(workspace)), default=0)
        self._numbers[workspace] = max(highest, self._numbers.get(workspace, 0)) + 1
        return self._numbers[workspace]

    def segment(self, workspace: str, environment: str, segment_id: str) -> Segment:
        """Raises ``ApiError`` (404)."""
        return require(self._state.segments[workspace, environment], segment_id, "segment")

    def check_references(self, segment: Segment) -> None:
        """Raises ``ApiError`` (422) where its rule refers to no segment or list, to itself, or is too large."""
        home = (segment.workspace, segment.environment)
        rule_tree.check(segment.id, segment.rule, *self._state.rules_and_lists(home))

    def check_unused(self, segment: Segment) -> None:
        """Raises ``ApiError`` (409) where the rule of another segment refers to it."""
        home = (segment.workspace, segment.environment)
        users = rule_tree.users_of(segment.id, self._state.rules_and_lists(home)[0])
        if users:
            raise ApiError("conflict", f"the rules of other segments refer to it: {', '.join(users[:5])}")

    async def put(self, kind: str, record: control_state.ControlRecord) -> None:
        key, value = control_state.encode(kind, record)
        await self._publisher.send(self._topic, value, key=key)
        # ours at once, and once more when it comes back over the topic: the next request sees it
        self._state.apply(key, value)
