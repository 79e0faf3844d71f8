"""Segment definitions in, records on `control` out: the edge is the only writer of definitions."""

from typing import Any

from ingest.publish import Publisher
from schemas import control, identity, ids, rule, topics
from schemas.control import ControlState, Segment, Workspace
from schemas.errors import Refused
from schemas.settings import Settings
from schemas.times import iso

MAX_NAME = 200
MAX_LIMIT = 1000
"""Most identifiers that a contact may have: a union costs as much as what it joins."""
_FIELDS = frozenset({"name", "rule"})


def _checked_name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME:
        raise Refused("invalid_field", f"name must be 1 to {MAX_NAME} characters", "name")
    return value


def _checked(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused("invalid_type", "the body must be a JSON object")
    if not value.keys() <= _FIELDS:
        name = min(value.keys() - _FIELDS)
        raise Refused("unknown_field", f"{name} is no field of a segment", name)
    if "rule" in value:
        rule.parse(value["rule"])
    return value


def new_segment(value: Any, workspace: str, environment: str, now_ms: int) -> Segment:
    """A definition from a POST body; raises ``Refused`` with the path of the wrong field."""
    body = _checked(value)
    for name in sorted(_FIELDS):
        if name not in body:
            raise Refused("missing_field", f"{name} is needed", name)
    return Segment(
        id=ids.new_id("seg_", now_ms),
        workspace=workspace,
        environment=environment,
        name=_checked_name(body["name"]),
        rule=body["rule"],
        version=1,
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def edited_segment(segment: Segment, value: Any, now_ms: int) -> Segment:
    """The definition after a PATCH; the version grows only where the rule changed."""
    body = _checked(value)
    name = _checked_name(body["name"]) if "name" in body else segment.name
    new_rule = body.get("rule", segment.rule)
    return segment.model_copy(
        update={
            "name": name,
            "rule": new_rule,
            "version": segment.version + (new_rule != segment.rule),
            "updated_ms": now_ms,
        }
    )


def edited_workspace(workspace: Workspace, value: Any) -> Workspace:
    """The workspace after a PATCH; ``limits`` are replaced one by one, ``null`` gives the default back."""
    if not isinstance(value, dict):
        raise Refused("invalid_type", "the body must be a JSON object")
    if unknown := value.keys() - {"limits", "link_devices"}:
        raise Refused("unknown_field", f"{min(unknown)} is no setting of a workspace", min(unknown))
    link_devices = value.get("link_devices", workspace.link_devices)
    if not isinstance(link_devices, bool):
        raise Refused("invalid_field", "link_devices must be true or false", "link_devices")
    limits = dict(workspace.limits)
    for kind, most in _checked_limits(value.get("limits", {})).items():
        if most is None:
            limits.pop(kind, None)
        else:
            limits[kind] = most
    return workspace.model_copy(update={"limits": limits, "link_devices": link_devices})


def _checked_limits(value: Any) -> dict[str, int | None]:
    if not isinstance(value, dict):
        raise Refused("invalid_field", "limits is an object of numbers", "limits")
    for kind, most in value.items():
        if not identity.is_type(kind) or kind == identity.CONTACT_ID or kind in identity.ALIASES:
            raise Refused("invalid_field", "not a type of identifier, custom or total", f"limits.{kind[:80]}")
        if most is None:
            continue
        if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= MAX_LIMIT:
            raise Refused("invalid_field", f"a limit is a number from 1 to {MAX_LIMIT}", f"limits.{kind}")
    return value


def shape(segment: Segment) -> dict[str, Any]:
    """What a write answers; the read API adds the counts."""
    return {
        "id": segment.id,
        "name": segment.name,
        "rule": segment.rule,
        "version": segment.version,
        "created_at": iso(segment.created_ms),
        "updated_at": iso(segment.updated_ms),
    }


class ControlWriter:
    """Publishes definitions; what it answered is what every following read says."""

    def __init__(self, settings: Settings, state: ControlState, publisher: Publisher) -> None:
        self._topic = topics.name(topics.CONTROL, settings)
        self._state = state
        self._publisher = publisher

    def segment(self, workspace: str, environment: str, segment_id: str) -> Segment:
        """Raises ``Refused`` (404)."""
        found = self._state.segments[workspace, environment].get(segment_id)
        if found is None:
            raise Refused("not_found", "no such segment")
        return found

    def workspace(self, workspace: str) -> Workspace:
        """Raises ``Refused`` (404)."""
        found = self._state.workspaces.get(workspace)
        if found is None:
            raise Refused("not_found", "no such workspace")
        return found

    async def put(self, kind: str, record: control.Record) -> None:
        key, value = control.encode(kind, record)
        await self._publisher.send(self._topic, value, key=key)
