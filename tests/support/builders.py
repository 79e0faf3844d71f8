"""Short calls in; complete records with ordinary defaults out."""

from typing import Any

import orjson

from schemas.caches.recent_rows import Read
from schemas.records import identity
from schemas.records.records import Event, Identifier, Link

WORKSPACE = "local"
ENVIRONMENT = "production"
NOW_MS = 1_790_000_000_000


def ident(text: str) -> Identifier:
    """Parses ``external_id:u1`` into an identifier."""
    kind, _, value = text.partition(":")
    return Identifier(type=kind, value=value)


def cid(text: str, workspace: str = WORKSPACE, environment: str = ENVIRONMENT) -> str:
    """Returns the own contact id of ``external_id:u1``."""
    kind, _, value = text.partition(":")
    return identity.contact_id(workspace, environment, kind, value)


def link(a: str, b: str, *, event: str = "evt_1", at_ms: int = NOW_MS, **more: Any) -> Link:
    row = Link(
        event_id=event,
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        kind="track",
        at_ms=at_ms,
        a=ident(a),
        b=ident(b),
        explicit=False,
    )
    row.update(more)  # type: ignore[typeddict-item]  # tests name real fields
    return row


def event(*identifiers: str, event_id: str = "evt_1", properties: dict[str, Any] | None = None, **more: Any) -> Event:
    """Builds an event of these identifiers, the strongest first, as the edge would."""
    row = Event(
        event_id=event_id,
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        kind="track",
        type="page_view",
        contact_id=cid(identifiers[0]) if identifiers else "",
        identifiers=[ident(i) for i in identifiers],
        timestamp_ms=NOW_MS,
        received_ms=NOW_MS,
        properties=orjson.dumps(properties or {}),
        context=b"",
        profile=b"",
        campaign_id="",
        message_id="",
        variant="",
        channel="",
        source="altacee",
        key_id="key_1",
        task_id="",
        reply_to="",
    )
    row.update(more)  # type: ignore[typeddict-item]  # tests name real fields
    return row


class MemoryTables:
    """A worker's durable rows in dictionaries; ``processors/runtime/table.py`` keeps them on disk and in Kafka."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], dict[bytes, bytes]] = {}

    def reader(self, table: str, partition: int) -> Read:
        return lambda key: self.rows.get((table, partition), {}).get(key)

    def scan(self, table: str, partition: int, after: bytes | None = None) -> Any:
        rows = self.rows.get((table, partition), {})
        return iter([(k, rows[k]) for k in sorted(rows) if after is None or k > after])

    def apply(self, partition: int, writes: dict[str, dict[bytes, bytes | None]]) -> None:
        for table, rows in writes.items():
            kept = self.rows.setdefault((table, partition), {})
            for key, value in rows.items():
                if value is None:
                    kept.pop(key, None)
                else:
                    kept[key] = value
