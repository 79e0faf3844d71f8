"""Segment definitions in, records on `control` out: the edge is the only writer of definitions; pure."""

from typing import Any

from ingest.events.publish import Publisher
from schemas import ids, topics
from schemas.api.request_schemas import SEGMENT
from schemas.control import control_state, static_segments
from schemas.control.control_state import ControlState, Segment
from schemas.control.definitions import SEGMENT_KINDS
from schemas.control.lookup import require
from schemas.errors import ApiError
from schemas.limits import MAX_NAME
from schemas.rules import parse, rule_tree
from schemas.settings import Settings

_FIELDS = frozenset({*SEGMENT, "kind"})


def _checked_name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME:
        raise ApiError("invalid_field", f"name must be 1 to {MAX_NAME} characters", "name")
    return value


def _checked(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ApiError("invalid_type", "the body must be a JSON object")
    if not value.keys() <= _FIELDS:
        name = min(value.keys() - _FIELDS)
        raise ApiError("unknown_field", f"unknown field {name}", name)
    if value.get("kind", "rule") not in SEGMENT_KINDS:
        raise ApiError("invalid_field", f"kind must be one of {', '.join(SEGMENT_KINDS)}", "kind")
    if not isinstance(value.get("include_existing", False), bool):
        raise ApiError("invalid_field", "include_existing must be true or false", "include_existing")
    if "rule" in value:
        parse.parse(value["rule"])
    return value


def new_segment(value: Any, workspace: str, environment: str, now_ms: int) -> Segment:
    """A definition from a POST body; raises ``ApiError`` with the path of the wrong field."""
    body = _checked(value)
    is_static = body.get("kind") == "static"
    if is_static and "rule" in body:
        raise ApiError("invalid_field", "a static segment has a list of contacts, not a rule", "rule")
    for name in ("name",) if is_static else ("name", "rule"):
        if name not in body:
            raise ApiError("missing_field", f"{name} is needed", name)
    segment_id = ids.new_id("seg_", now_ms)
    return Segment(
        id=segment_id,
        workspace=workspace,
        environment=environment,
        name=_checked_name(body["name"]),
        kind=body.get("kind", "rule"),
        rule=static_segments.rule_of(segment_id) if is_static else body["rule"],
        version=1,
        include_existing=body.get("include_existing", False),
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def edited_segment(segment: Segment, value: Any, now_ms: int) -> Segment:
    """The definition after a PATCH; the version grows only where the rule changed."""
    body = _checked(value)
    if body.get("kind", segment.kind) != segment.kind:
        raise ApiError("invalid_field", "the kind of a segment cannot change", "kind")
    if segment.kind == "static" and "rule" in body:
        raise ApiError("invalid_field", "a static segment has a list of contacts, not a rule", "rule")
    name = _checked_name(body["name"]) if "name" in body else segment.name
    new_rule = body.get("rule", segment.rule)
    # chosen anew with each rule
    tells = body.get("include_existing", segment.include_existing and new_rule == segment.rule)
    return segment.model_copy(
        update={
            "name": name,
            "rule": new_rule,
            "include_existing": tells,
            "version": segment.version + (new_rule != segment.rule),
            "updated_ms": now_ms,
        }
    )


class ControlWriter:
    """Publishes definitions; every read after ``put`` shows the record."""

    def __init__(self, settings: Settings, state: ControlState, publisher: Publisher) -> None:
        self._topic = topics.name(topics.CONTROL, settings)
        self._state = state
        self._publisher = publisher
        self._numbers: dict[str, int] = {}

    def next_number(self, workspace: str) -> int:
        """Of a campaign; where two edges give the same one, the older campaign has it."""
        known = max((c.number for c in self._state.campaigns_of(workspace)), default=0)
        self._numbers[workspace] = max(known, self._numbers.get(workspace, 0)) + 1
        return self._numbers[workspace]

    def segment(self, workspace: str, environment: str, segment_id: str) -> Segment:
        """Raises ``ApiError`` (404)."""
        return require(self._state.segments[workspace, environment], segment_id, "segment")

    def check_references(self, segment: Segment) -> None:
        """Raises ``ApiError`` (422) where its rule refers to no segment, to itself, or makes a rule too large."""
        rule_tree.check(segment.id, segment.rule, self._rules(segment))

    def check_unused(self, segment: Segment) -> None:
        """Raises ``ApiError`` (409) where the rule of another segment refers to it."""
        users = rule_tree.users_of(segment.id, self._rules(segment))
        if users:
            raise ApiError("conflict", f"the rules of other segments refer to it: {', '.join(users[:5])}")

    def _rules(self, segment: Segment) -> dict[str, Any]:
        home = self._state.segments[segment.workspace, segment.environment]
        return {name: one.rule for name, one in home.items()}

    async def put(self, kind: str, record: control_state.ControlRecord) -> None:
        key, value = control_state.encode(kind, record)
        await self._publisher.send(self._topic, value, key=key)
        # ours at once, and once more when it comes back over the topic: the next request sees it
        self._state.apply(key, value)
