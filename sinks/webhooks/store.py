"""Records of `deliveries` in; the state of every delivery, and the notification state of contacts, on disk out.

The disk is a copy of Kafka's records: the position is written in the same batch as the rows, so a restart resumes
there, and a lost disk is read again. Memory is bounded by the cache settings, for any number of waiting deliveries.
Rows: ``d/<delivery>`` its record, ``q/<delivery>`` its place in the queue, ``x/<time>/<delivery>`` when it is
forgotten, ``c/``, ``i/``, ``v/``, ``u/`` and ``m/`` the state of notifications, ``l/`` the attachments of a launch,
``n/`` entries that launch a campaign, ``p/`` the next offset of a partition, ``t/`` the time from which the rows hold
all changes of a partition of `changes`.
"""

import logging
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rocksdict import Rdict, ReadOptions, WriteBatch

from schemas.records.codec import UndecodableError, decode_delivery
from schemas.records.deliveries import ASKED, FAILED, PENDING, SUCCEEDED, WebhookDelivery
from schemas.service.rocksdb import options_of_a_copy
from schemas.times import DAY_MS
from sinks.launch.entry import LaunchEntry, entry_of
from sinks.webhooks.notification_state import CONTACT_PREFIXES, MEMBERSHIP_PREFIX
from sinks.webhooks.queue import Entry

log = logging.getLogger(__name__)

ENTRIES = b"n/"
KEPT_MS = {SUCCEEDED: 8 * DAY_MS, FAILED: 90 * DAY_MS}
"""A day longer than events are kept: so long as a cause can be read again, its delivery is known."""
_PLACE = struct.Struct(">qq")
_TIME = struct.Struct(">q")


class OnQueued(Protocol):
    """Called with an endpoint and the queue place of a delivery."""

    def __call__(self, webhook_id: str, entry: Entry, *, is_requested: bool = False) -> None: ...


def _ignored(_news: object) -> None:
    return


class Queued(NamedTuple):
    webhook_id: str
    entry: Entry
    is_requested: bool


def _not_queued(webhook_id: str, entry: Entry, *, is_requested: bool = False) -> None:
    del webhook_id, entry, is_requested


class Store:
    """The sender's state on disk, for one process at a time: a second process cannot open the folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = Rdict(str(folder), options_of_a_copy())
        self.on_queued: OnQueued = _not_queued
        self.on_applied: Callable[[WebhookDelivery], None] = _ignored
        """Called when a delivery's new state is here."""
        self.on_contacts_deleted: Callable[[Collection[str]], None] = _ignored
        """Called with contacts whose notification state was deleted."""
        self.last_seq = 0
        self.fresh: set[str] = set()
        """Deliveries that are durable in Kafka and not here yet."""

    def close(self) -> None:
        self._db.close()

    # --- reading

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._db.get(key)
        return value

    def positions(self, topic: str) -> dict[int, int]:
        """The next offset of each partition that was read."""
        prefix = b"p/" + topic.encode() + b"/"
        return {int(key[len(prefix) :]): int(value) for key, value in self._scan(prefix)}

    def knows(self, delivery_id: str) -> bool:
        return delivery_id in self.fresh or self.get(b"d/" + delivery_id.encode()) is not None

    def delivery(self, delivery_id: str) -> WebhookDelivery | None:
        value = self.get(b"d/" + delivery_id.encode())
        return None if value is None else decode_delivery(value)

    def is_queued(self, entry: Entry) -> bool:
        """Whether this is still the delivery's place in the queue."""
        value = self.get(b"q/" + entry.id.encode())
        return value is not None and value[: _PLACE.size] == _PLACE.pack(entry.due_ms, entry.seq)

    def load(self) -> None:
        """Calls ``on_queued`` for all waiting deliveries."""
        for key, value in self._scan(b"q/"):
            due_ms, seq = _PLACE.unpack(value[: _PLACE.size])
            self.last_seq = max(self.last_seq, seq)
            self.on_queued(value[_PLACE.size :].decode(), Entry(due_ms, seq, key[2:].decode()))

    def expired(self, now_ms: int, most: int) -> list[WebhookDelivery]:
        """Returns deliveries to forget."""
        expired: list[WebhookDelivery] = []
        for key, _ in self._scan(b"x/"):
            if _TIME.unpack(key[2:10])[0] > now_ms or len(expired) == most:
                break
            delivery = self.delivery(key[10:].decode())
            if delivery is not None and key == _expiry(delivery):
                expired.append(delivery)
            else:
                self._db.delete(key)  # a later attempt followed
        return expired

    def of_contacts(self, contact_ids: Collection[str], until_ms: int) -> list[WebhookDelivery]:
        """Returns the deliveries of these contacts that were planned until this time."""
        deliveries = (decode_delivery(value) for _, value in self._scan(b"d/"))
        return [d for d in deliveries if d["contact_id"] in contact_ids and d["seq"] // 1_000_000 <= until_ms]

    def delete_contacts(self, contact_ids: Collection[str]) -> None:
        """Deletes the notification state of contacts."""
        batch = WriteBatch(raw_mode=True)
        for contact_id in contact_ids:
            for prefix in CONTACT_PREFIXES:
                batch.delete(prefix + contact_id.encode())
            for key, _ in self._scan(MEMBERSHIP_PREFIX + contact_id.encode() + b"/"):
                batch.delete(key)
        self._db.write(batch)
        self.on_contacts_deleted(contact_ids)

    def drop_launches(self, until_ms: int) -> None:
        """Deletes attachments that arrived before this time."""
        for key, value in self._scan(b"l/"):
            if _TIME.unpack(value[: _TIME.size])[0] < until_ms:
                self._db.delete(key)

    def waiting_entries(self, most: int) -> list[LaunchEntry]:
        """Returns entries into segments whose messages have not been requested yet."""
        rows = islice(self._scan(ENTRIES), most)
        return [entry for _, value in rows if (entry := entry_of(value)) is not None]

    def _scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        options = ReadOptions()
        options.set_iterate_upper_bound(prefix[:-1] + bytes([prefix[-1] + 1]))
        yield from self._db.items(from_key=prefix, read_opt=options)

    # --- writing

    def learn(self, rows: Mapping[bytes, bytes | None], positions: Mapping[tuple[str, int], int]) -> None:
        """Writes the notification state and the offset up to which it was read."""
        batch = WriteBatch(raw_mode=True)
        for key, value in rows.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        for (topic, partition), offset in positions.items():
            batch.put(f"p/{topic}/{partition}".encode(), b"%d" % offset)
        self._db.write(batch)

    def apply(self, record: Any) -> None:
        """Applies a record of `deliveries`."""
        batch = WriteBatch(raw_mode=True)
        batch.put(f"p/deliveries/{record.partition}".encode(), b"%d" % (record.offset + 1))
        queued: Queued | None = None
        delivery: WebhookDelivery | None = None
        try:
            if record.value is None:
                self._forget(batch, record.key)
            else:
                delivery = decode_delivery(record.value)
                queued = self._take(batch, delivery, record.value)
        except UndecodableError:
            log.exception("skipping deliveries/%s/%s", record.partition, record.offset)
        self._db.write(batch)
        if queued is not None:
            self.on_queued(queued.webhook_id, queued.entry, is_requested=queued.is_requested)
        if delivery is not None and delivery["status"] != ASKED:
            self.on_applied(delivery)

    def _take(self, batch: WriteBatch, delivery: WebhookDelivery, raw: bytes) -> Queued | None:
        key = delivery["id"].encode()
        if delivery["status"] == ASKED:
            current = self.delivery(delivery["id"])
            if current is None:
                return None
            return self._queue(batch, current, delivery["due_ms"], is_requested=True)
        if not delivery["contact_id"] and self._is_planned_again(delivery):
            return None
        self.fresh.discard(delivery["id"])
        self.last_seq = max(self.last_seq, delivery["seq"])
        batch.put(b"d/" + key, raw)
        if delivery["status"] == PENDING:
            return self._queue(batch, delivery, delivery["due_ms"])
        batch.delete(b"q/" + key)
        batch.put(_expiry(delivery), b"")
        return None

    def _is_planned_again(self, delivery: WebhookDelivery) -> bool:
        """Whether the sender of another share, which does not see the outcome, planned the delivery again."""
        if delivery["status"] != PENDING or delivery["attempts"]:
            return False
        current = self.delivery(delivery["id"])
        return current is not None and (current["attempts"] > 0 or current["status"] != PENDING)

    def _queue(
        self, batch: WriteBatch, delivery: WebhookDelivery, due_ms: int, *, is_requested: bool = False
    ) -> Queued:
        entry = Entry(due_ms, delivery["seq"], delivery["id"])
        place = _PLACE.pack(due_ms, delivery["seq"]) + delivery["webhook_id"].encode()
        batch.put(b"q/" + delivery["id"].encode(), place)
        return Queued(delivery["webhook_id"], entry, is_requested)

    def _forget(self, batch: WriteBatch, key: bytes) -> None:
        delivery = self.delivery(key.decode())
        if delivery is None:
            return
        for row in (b"d/" + key, b"q/" + key, _expiry(delivery)):
            batch.delete(row)


def _expiry(delivery: WebhookDelivery) -> bytes:
    at_ms = delivery["updated_ms"] + KEPT_MS.get(delivery["status"], 0)
    return b"x/" + _TIME.pack(at_ms) + delivery["id"].encode()
