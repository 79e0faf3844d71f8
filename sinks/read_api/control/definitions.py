"""The control state in; segments with their counts, keys and environments, as the API shows them, out."""

from collections.abc import Iterable

from schemas.api import serialize
from schemas.api.answers.access import EnvironmentShape, KeyShape, WorkspaceShape
from schemas.api.answers.segments import SegmentShape
from schemas.api.answers.webhooks import ReceiverShape
from schemas.control.control_state import ApiKey, ControlState, Environment, Segment
from schemas.errors import ApiError
from schemas.times import iso
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

_COUNTS = """
SELECT segment_id, countIf(member) AS contacts, max(toUnixTimestamp64Milli(at)) AS latest_ms
FROM memberships FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String} AND segment_id IN {ids:Array(String)}
GROUP BY segment_id
"""


def segments_of(control: ControlState, tenant: Tenant) -> list[Segment]:
    """Oldest first."""
    segments = control.segments[tenant.place].values()
    return sorted(segments, key=lambda s: (s.created_ms, s.id))


async def with_counts(
    reader: ClickHouseReader, control: ControlState, tenant: Tenant, segments: Iterable[Segment]
) -> list[SegmentShape]:
    """Each segment with its present contacts; ``fresh_as_of`` is its last change, by a contact or by an edit.

    ``progress`` counts contacts whose history has been read. Until the status is ``live``, the contacts are those of
    the previous version.
    """
    counted = list(segments)
    if not counted:
        return []
    rows = await reader.rows(_COUNTS, **tenant.parameters, ids=[s.id for s in counted])
    counts = {row["segment_id"]: row for row in rows}
    shapes: list[SegmentShape] = []
    for segment in counted:
        count = counts.get(segment.id, {"contacts": 0, "latest_ms": 0})
        status, done, total, reason = control.standing(segment, reader.partitions)
        shape: SegmentShape = {
            "id": segment.id,
            "name": segment.name,
            "kind": segment.kind,
            "rule": None if segment.kind == "static" else segment.rule,
            "version": segment.version,
            "status": status,
            "progress": {"contacts_done": done, "contacts_total": total},
            "contacts": count["contacts"],
            "fresh_as_of": iso(max(count["latest_ms"], segment.updated_ms)),
            "created_at": iso(segment.created_ms),
            "updated_at": iso(segment.updated_ms),
        }
        if reason:
            shape["reason"] = reason
        shapes.append(shape)
    return shapes


def keys_of(control: ControlState, workspace: str) -> list[KeyShape]:
    """Oldest first; neither a key nor its hash is ever shown."""
    keys = [key for key in control.keys.values() if key.workspace == workspace]
    return [_key_shape(key, control) for key in sorted(keys, key=lambda k: (k.created_ms, k.id))]


def key_named(control: ControlState, workspace: str, key_id: str) -> KeyShape:
    """Raises ``ApiError`` (404)."""
    key = control.key_named(workspace, key_id)
    if key is None:
        raise ApiError("not_found", "no such key")
    return _key_shape(key, control)


def _key_shape(key: ApiKey, control: ControlState) -> KeyShape:
    return serialize.key(key, control.key_uses.get((key.workspace, key.id)))


def workspaces_of(control: ControlState) -> list[WorkspaceShape]:
    """All of the instance, oldest first."""
    workspaces = sorted(control.workspaces.values(), key=lambda w: (w.created_ms, w.id))
    return [serialize.workspace(workspace) for workspace in workspaces]


def workspace_named(control: ControlState, workspace: str, name: str) -> WorkspaceShape:
    """Raises ``ApiError`` (404) for any but the key's own."""
    record = control.workspaces.get(workspace)
    if record is None or name != workspace:
        raise ApiError("not_found", "no such workspace")
    return serialize.workspace(record)


def environments_of(control: ControlState, workspace: str) -> list[EnvironmentShape]:
    """In the order of their numbers."""
    environments: Iterable[Environment] = control.environments[workspace].values()
    return [serialize.environment(environment) for environment in sorted(environments, key=lambda e: e.number)]


def receivers_of(control: ControlState, tenant: Tenant) -> list[ReceiverShape]:
    """Oldest first, without their secrets."""
    here = (tenant.workspace, tenant.environment)
    receivers = [
        receiver for receiver in control.receivers.values() if (receiver.workspace, receiver.environment) == here
    ]
    return [serialize.receiver(receiver) for receiver in sorted(receivers, key=lambda r: (r.created_ms, r.id))]
