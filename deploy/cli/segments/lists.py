"""Named lists of a file and of the API in; the API changes that match the file, and their effect, out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.cli.segments.document import ListDefinition
from deploy.client.api import ApiClient, ApiRefusedError, part
from deploy.client.config import ConfigError

ADD, CHANGE = "add", "change"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedListChange:
    """``before`` is the present number of values; ``None`` for a new list."""

    definition: ListDefinition
    before: int | None

    @property
    def action(self) -> str:
        return ADD if self.before is None else CHANGE

    @property
    def name(self) -> str:
        return f"list {self.definition.name}"

    def to_row(self) -> dict[str, Any]:
        size = len(self.definition.values)
        return {"action": self.action, "segment": self.name, "members_now": self.before, "members_then": size}


async def present_lists(client: ApiClient, names: Iterable[str]) -> dict[str, ListDefinition]:
    """Returns those lists that exist in the API."""
    lists = {}
    for name in sorted(names):
        try:
            shown = await client.call("GET", f"/v1/lists/{part(name)}")
        except ApiRefusedError as refused:
            if refused.status != 404:
                raise
            continue
        values = [row["value"] async for row in client.listed(f"/v1/lists/{part(name)}/values")]
        lists[name] = ListDefinition(name, shown["description"], tuple(values))
    return lists


def list_changes(
    expected: Mapping[str, ListDefinition], there: Mapping[str, ListDefinition], used: Iterable[str]
) -> list[NamedListChange]:
    """Keeps lists outside of the file; raises ``ConfigError`` for a missing list that a rule names."""
    lost = sorted(set(used) - expected.keys() - there.keys())
    if lost:
        raise ConfigError(f"there is no list {lost[0]!r}: add it to the file under lists, or make it by POST /v1/lists")
    changes = []
    for name, definition in expected.items():
        now = there.get(name)
        if now is None or not definition.is_met_by(now):
            changes.append(NamedListChange(definition=definition, before=None if now is None else len(now.values)))
    return changes


async def make_list(client: ApiClient, change: NamedListChange) -> None:
    """Creates or replaces a list."""
    definition = change.definition
    body: dict[str, Any] = {"values": list(definition.values)}
    if definition.description is not None:
        body["description"] = definition.description
    if change.before is None:
        await client.call("POST", "/v1/lists", {"name": definition.name, **body})
    else:
        await client.call("PUT", f"/v1/lists/{part(definition.name)}", body)
