"""Requested messages of trigger launches in; their bodies with attachments, or an expiry, out.

`launches` holds attachments once, instead of every delivery. A launch is durable there before its messages, so a
message waits until its launch is on the disk. An event records the failure of a message that expired, or that its
campaign's endpoint never took; the event's id follows from the message.
"""

import struct
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import orjson

from schemas import topics
from schemas.records import codec
from schemas.records.deliveries import WebhookDelivery
from schemas.records.identity import CONTACT_ID, partition_of
from schemas.records.records import MESSAGE_FAILED, REQUESTED, TRACK, Event, Identifier
from schemas.service.kafka import Tail
from schemas.settings import Settings
from schemas.times import parse_iso
from sinks.launch.entry import ENTRY
from sinks.webhooks.delivery_log import LogRow
from sinks.webhooks.store import ENTRIES, Store

PREFIX = b"l/"
_AT = struct.Struct(">q")


class Launches:
    """Follows `launches` onto the disk."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        positions = store.positions(topics.LAUNCHES.name)
        self.tail = Tail(settings, topics.LAUNCHES, self._apply, positions=positions)

    def _apply(self, record: Any) -> None:
        place = {(topics.LAUNCHES.name, record.partition): record.offset + 1}
        rows: dict[bytes, bytes | None] = {}
        if record.key and record.key.startswith(ENTRY):
            rows = {ENTRIES + record.key.removeprefix(ENTRY): record.value}
        elif record.key and record.value:
            rows = {PREFIX + record.key: _AT.pack(record.timestamp) + record.value}
        self._store.learn(rows, place)

    def forget_old(self, now_ms: int) -> None:
        """Drops launches that the topic no longer keeps, from the disk too."""
        self._store.drop_launches(now_ms - (topics.LAUNCHES.retention_ms or 0))

    async def body(self, delivery: WebhookDelivery) -> bytes:
        """Returns the request's body: the message with the attachments of its launch."""
        if delivery["type"] != REQUESTED or b'"attach"' not in delivery["body"]:
            return delivery["body"]
        body = orjson.loads(delivery["body"])
        properties = body["data"].get("properties") or {}
        launch_id, listed = properties.get("launch_id"), properties.get("attach")
        if not isinstance(launch_id, str) or not isinstance(listed, list):
            return delivery["body"]
        key = PREFIX + launch_id.encode()
        row = self._store.get(key)
        if row is None:
            await self.tail.catch_up()
            row = self._store.get(key)
        if row is None:
            return delivery["body"]  # a client's own event that resembles one, or an old message
        launch = orjson.loads(row[_AT.size :])
        home = (delivery["workspace"], delivery["environment"], body["data"].get("campaign_id"))
        if home != tuple(launch[name] for name in ("workspace", "environment", "campaign_id")):
            return delivery["body"]  # another workspace's launch
        properties["attach"] = launch["attach"]
        return orjson.dumps(body)

    def is_late(self, delivery: WebhookDelivery, now_ms: int) -> bool:
        """Whether the message has expired."""
        if delivery["type"] != REQUESTED or b'"expiration"' not in delivery["body"]:
            return False
        until = (orjson.loads(delivery["body"])["data"].get("properties") or {}).get("expiration")
        until_ms = parse_iso(until.replace(" ", "T").upper()) if isinstance(until, str) else None
        return until_ms is not None and until_ms <= now_ms

    def failed(self, delivery: WebhookDelivery, now_ms: int, reason: str) -> LogRow:
        """Returns the event for a delivery that failed for good."""
        data = orjson.loads(delivery["body"])["data"]
        home = (delivery["workspace"], delivery["environment"])
        return failure(home, delivery["contact_id"], data, reason, now_ms=now_ms, partitions=self._settings.partitions)


def failure(
    home: tuple[str, str], contact_id: str, data: dict[str, Any], reason: str, *, now_ms: int, partitions: int
) -> LogRow:
    """Returns the failure event of a requested message, as a client would send it; a repeat returns the same event.

    ``home`` is workspace and environment, ``data`` is the data of the message's body.
    """
    properties = data.get("properties")
    launch_id = properties.get("launch_id") if isinstance(properties, dict) else None
    message_id = str(data.get("message_id", ""))
    event = Event(
        event_id=f"evt_{uuid5(_uuid(message_id), MESSAGE_FAILED).hex}",
        workspace=home[0],
        environment=home[1],
        kind=TRACK,
        type=MESSAGE_FAILED,
        contact_id=contact_id,
        identifiers=[Identifier(type=CONTACT_ID, value=contact_id)],
        timestamp_ms=now_ms,
        received_ms=now_ms,
        properties=orjson.dumps({"launch_id": launch_id, "reason": reason}),
        context=b"",
        profile=b"",
        campaign_id=str(data.get("campaign_id", "")),
        message_id=message_id,
        variant=str(data.get("variant", "")),
        channel=str(data.get("channel", "")),
        source="headwater",
        key_id="",
        task_id="",
        reply_to="",
    )
    row = codec.encode_events([event])
    return LogRow(topics.EVENTS, contact_id.encode(), row, partition_of(contact_id, partitions))


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return uuid5(NAMESPACE_OID, text)
