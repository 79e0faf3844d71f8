"""The control state in; segments with their counts, keys and environments, as the API shows them, out."""

from collections.abc import Iterable
from typing import Any

from schemas.control import ApiKey, ControlState, Environment, Segment, workspace_shape
from schemas.errors import Refused
from schemas.times import iso
from sinks.query.contacts import Home
from sinks.query.reader import Reader

LIVE = "live"

_COUNTS = """
SELECT segment_id, countIf(member) AS contacts, max(toUnixTimestamp64Milli(at)) AS latest_ms
FROM memberships FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String} AND segment_id IN {ids:Array(String)}
GROUP BY segment_id
"""


def segment_named(control: ControlState, home: Home, segment_id: str) -> Segment:
    """Raises ``Refused`` (404)."""
    found = control.segments[home.workspace, home.environment].get(segment_id)
    if found is None:
        raise Refused("not_found", "no such segment")
    return found


def segments_of(control: ControlState, home: Home) -> list[Segment]:
    """Oldest first."""
    found = control.segments[home.workspace, home.environment].values()
    return sorted(found, key=lambda s: (s.created_ms, s.id))


async def with_counts(reader: Reader, home: Home, segments: Iterable[Segment]) -> list[dict[str, Any]]:
    """Each with the contacts it has now; ``fresh_as_of`` is its last change, by a contact or by an edit."""
    wanted = list(segments)
    if not wanted:
        return []
    rows = await reader.rows(_COUNTS, **home.parameters, ids=[s.id for s in wanted])
    counts = {row["segment_id"]: row for row in rows}
    shapes = []
    for segment in wanted:
        count = counts.get(segment.id, {"contacts": 0, "latest_ms": 0})
        shapes.append(
            {
                "id": segment.id,
                "name": segment.name,
                "rule": segment.rule,
                "version": segment.version,
                "status": LIVE,
                "contacts": count["contacts"],
                "fresh_as_of": iso(max(count["latest_ms"], segment.updated_ms)),
                "created_at": iso(segment.created_ms),
                "updated_at": iso(segment.updated_ms),
            }
        )
    return shapes


def keys_of(control: ControlState, workspace: str) -> list[dict[str, Any]]:
    """Oldest first; neither a key nor its hash is ever shown."""
    found = [key for key in control.keys.values() if key.workspace == workspace]
    return [_key(key) for key in sorted(found, key=lambda k: (k.created_ms, k.id))]


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "kind": key.kind,
        "scopes": list(key.scopes),
        "environment": key.environment,
        "created_at": iso(key.created_ms),
        "expires_at": None if key.expires_ms is None else iso(key.expires_ms),
        "last_used_at": None,
    }


def environments_of(control: ControlState, workspace: str) -> list[dict[str, Any]]:
    """In the order of their numbers."""
    found: Iterable[Environment] = control.environments[workspace].values()
    return [
        {"id": one.id, "number": one.number, "created_at": iso(one.created_ms)}
        for one in sorted(found, key=lambda e: e.number)
    ]


def workspace_of(control: ControlState, workspace: str) -> dict[str, Any]:
    """Its settings; raises ``Refused`` (404)."""
    found = control.workspaces.get(workspace)
    if found is None:
        raise Refused("not_found", "no such workspace")
    return workspace_shape(found)
