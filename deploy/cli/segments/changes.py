"""Segments of a file and of the API in; the API changes that match the file, and their effect, out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.cli.segments.document import SegmentDefinition, lists_named, order, references, replaced
from deploy.client.api import ApiClient, ApiRefusedError, part
from deploy.client.config import ConfigError

ADD, CHANGE, REMOVE, STRAY = "add", "change", "remove", "not in the file"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentChange:
    """``after`` is the size after the change; ``None`` if the rule names a segment or a list to be created."""

    action: str
    name: str
    id: str = ""
    definition: SegmentDefinition | None = None
    before: int | None = None
    after: int | None = None

    def to_row(self) -> dict[str, Any]:
        return {"action": self.action, "segment": self.name, "members_now": self.before, "members_then": self.after}


async def present(client: ApiClient) -> dict[str, dict[str, Any]]:
    """Returns the API's segments by name; raises ``ConfigError`` for two segments of one name."""
    segments: dict[str, dict[str, Any]] = {}
    async for segment in client.listed("/v1/segments"):
        if segment["name"] in segments:
            raise ConfigError(f"two segments are called {segment['name']!r}: rename one of {segment['id']}")
        segments[segment["name"]] = segment
    return segments


def definitions_of(there: Mapping[str, dict[str, Any]]) -> dict[str, SegmentDefinition]:
    """Returns definitions in the file's form: with names in place of ids."""
    names = {segment["id"]: name for name, segment in there.items()}
    return {
        name: SegmentDefinition(
            name, segment["kind"], None if segment["kind"] == "static" else replaced(segment["rule"], names)
        )
        for name, segment in there.items()
    }


async def changes(
    client: ApiClient,
    expected: Mapping[str, SegmentDefinition],
    there: Mapping[str, dict[str, Any]],
    *,
    remove: bool,
    new_lists: Collection[str] = (),
) -> list[SegmentChange]:
    """Returns changes in a valid order; raises ``ApiRefusedError`` for a rule that the API refuses.

    ``new_lists`` are named lists that are created or changed first.
    """
    ids = {name: str(segment["id"]) for name, segment in there.items()}
    needed = []
    for definition in order(expected, ids):
        now = there.get(definition.name)
        if now is not None and now["kind"] != definition.kind:
            raise ConfigError(
                f"{definition.name}: it is {now['kind']}, and cannot become {definition.kind}: take another name"
            )
        rule = replaced(definition.rule, ids)
        if now is not None and (definition.kind == "static" or now["rule"] == rule):
            continue
        waits = definition.kind == "static" or not lists_named(rule).isdisjoint(new_lists)
        after = None if waits else await _count(client, definition, rule, ids)
        before = None if now is None else now["contacts"]
        action = ADD if now is None else CHANGE
        needed.append(
            SegmentChange(
                action=action,
                name=definition.name,
                id=ids.get(definition.name, ""),
                definition=definition,
                before=before,
                after=after,
            )
        )
    # a segment is removed before the segments that it names
    graph = definitions_of(there)
    for definition in reversed(order(graph, ids)):
        if definition.name not in expected:
            count = there[definition.name]["contacts"]
            action = REMOVE if remove else STRAY
            needed.append(SegmentChange(action=action, name=definition.name, id=ids[definition.name], before=count))
    return needed


async def _count(client: ApiClient, definition: SegmentDefinition, rule: Any, ids: Mapping[str, str]) -> int | None:
    """Returns the number of contacts that match the rule; raises the API's error for an invalid rule."""
    if references(definition.rule) - ids.keys() and any(not name.startswith("seg_") for name in references(rule)):
        return None
    try:
        return int((await client.call("POST", "/v1/segments/preview", {"rule": rule}))["contacts"])
    except ApiRefusedError as refused:
        raise ApiRefusedError(
            refused.status, refused.code, f"{definition.name}: {refused.message}", refused.param
        ) from None


async def make(client: ApiClient, change: SegmentChange, ids: dict[str, str]) -> None:
    """Applies a change; ``ids`` receives the id of a new segment."""
    path = f"/v1/segments/{part(change.id)}"
    if change.action == REMOVE:
        await client.call("DELETE", path)
        return
    if change.action == STRAY or change.definition is None:
        return
    rule = replaced(change.definition.rule, ids)
    if change.action == CHANGE:
        await client.call("PATCH", path, {"rule": rule})
        return
    body = {"name": change.name, "kind": change.definition.kind}
    made = await client.call("POST", "/v1/segments", body if rule is None else body | {"rule": rule})
    ids[change.name] = str(made["id"])
