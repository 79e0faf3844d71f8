"""A record that could not be processed in, its bytes for the `quarantine` topic, the dead-letter queue, out."""

from schemas.records import codec
from schemas.records.records import Quarantined

MAX_PAYLOAD = 1_000_000
"""The most bytes kept of a record; a kept payload of this length counts as cut."""


def encode(
    *,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    payload: bytes,
    reason: str,
    detail: str,
    now_ms: int,
    index: int = -1,
    workspace: str = "",
    event_id: str = "",
) -> tuple[bytes, bytes]:
    """Kafka key (its origin, so a repeat lands on the same place) and value."""
    row = Quarantined(
        topic=topic,
        partition=partition,
        offset=offset,
        index=index,
        workspace=workspace,
        event_id=event_id,
        reason=reason,
        detail=detail[:2000],
        at_ms=now_ms,
        key=key or b"",
        payload=payload[:MAX_PAYLOAD],
    )
    return f"{topic}/{partition}/{offset}/{index}".encode(), codec.encode_quarantined(row)
