"""Records in, Avro single-object bytes out, and back; old fingerprints stay readable.

Single-object encoding (https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding): two marker
bytes, the schema's CRC-64-AVRO fingerprint, the datum. A schema is a file ``schemas/avro/<name>.vN.avsc``;
a changed record is a new file with the next number, and bytes of every earlier one decode with defaults.
"""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import fastavro
import orjson
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.records import avro, varint
from schemas.records.deliveries import Attempt, WebhookDelivery
from schemas.records.records import (
    Absorb,
    Change,
    Event,
    EventOrigin,
    Link,
    Merge,
    PlacedEvent,
    Quarantined,
    Receipt,
    RefusedRequest,
)

FOLDER = Path(__file__).parents[1] / "avro"
MARKER = b"\xc3\x01"
RUNS: tuple[avro.Run, ...] = (
    ("workspace", "environment"),
    ("kind", "type"),
    ("timestamp_ms", "received_ms"),
    (
        *("campaign_id", "message_id", "variant", "channel", "source", "key_id", "task_id", "reply_to"),
        *("origin_partition", "origin_offset", "merged_into"),
    ),
    ("segment_id", "member", "segment_version", "reason"),
    ("at_ms",),
)
"""Fields of which the items of a batch often have the same values."""
READ_RUNS: tuple[avro.Run, ...] = (*RUNS, ("context", "profile"))
"""The runs of a reader. A writer would have to keep the values of the last one, which may be large."""
HOT = ("event_batch", "link_batch", "change_batch", "receipt_batch")  # records of each event
HEADER = 10


class UndecodableError(ValueError):
    """The bytes are not one of our records; the message names the wrong part."""


class UnknownSchemaError(UndecodableError):
    """A record of a schema that this version does not have: a newer one may have written it."""


def _parsed(raw: Any) -> Any:
    schema = fastavro.parse_schema(raw)
    _bytes_defaults(schema)
    return schema


def _bytes_defaults(schema: Any) -> None:
    """Converts the defaults of bytes: Avro's JSON writes them as text, and fastavro would return that text."""
    for part in schema if isinstance(schema, list) else [schema]:
        if not isinstance(part, dict):
            continue
        if part.get("type") == "bytes" and isinstance(part.get("default"), str):
            part["default"] = part["default"].encode("latin-1")
        for below in ("type", "items", "fields"):
            _bytes_defaults(part.get(below))


def _load(path: Path) -> tuple[Any, Any, bytes]:
    """A schema as it is written, parsed, and the header of its records."""
    raw = orjson.loads(path.read_bytes())
    crc = fingerprint(to_parsing_canonical_form(fastavro.parse_schema(raw)), "CRC-64-AVRO")
    return raw, _parsed(raw), MARKER + bytes.fromhex(crc)


class Codec:
    """The codec of one kind of record: reads all its versions, writes the newest."""

    def __init__(self, name: str) -> None:
        versions = sorted(FOLDER.glob(f"{name}.v*.avsc"), key=lambda p: int(p.suffixes[0][2:]))
        self.name = name
        self._readers: dict[bytes, Any] = {}
        for path in versions:
            self._raw, self.schema, self.header = _load(path)
            self._readers[self.header] = self.schema
        self._hot = name in HOT
        self._write, self._read = avro.writer(self.schema, RUNS), avro.reader(self.schema, READ_RUNS, hot=self._hot)

    def encode(self, datum: Any) -> bytes:
        """A datum as a Kafka value."""
        return self.header + self._write(datum)

    def decode(self, data: bytes) -> Any:
        """The datum, in the newest version's shape; raises ``UndecodableError``."""
        return self._decode(data, self._read)

    def _decode(self, data: bytes, read: avro.Read) -> Any:
        if data[:2] != MARKER:
            raise UndecodableError(f"{self.name}: not a single-object Avro record")
        writer = self._readers.get(data[:HEADER])
        if writer is None:
            raise UnknownSchemaError(f"{self.name}: unknown schema fingerprint {data[2:HEADER].hex()}")
        try:
            datum, end = read(data, HEADER) if writer is self.schema else self._read_older(data, writer)
        except Exception as error:  # invalid bytes may lead fastavro to any exception
            raise UndecodableError(f"{self.name}: {type(error).__name__}: {error}") from error
        if end != len(data):
            raise UndecodableError(
                f"{self.name}: {abs(len(data) - end)} bytes too {'many' if end < len(data) else 'few'}"
            )
        return datum

    def _read_older(self, data: bytes, writer: Any) -> tuple[Any, int]:
        """Reads a record of an earlier version; returns it in the newest version's shape, and its end."""
        stream = BytesIO(data)
        stream.seek(HEADER)
        return fastavro.schemaless_reader(stream, writer, self.schema), stream.tell()


class BatchCodec(Codec):
    """A record whose only field is an array: items are encoded alone, and a batch is their concatenation.

    So an event is encoded once, its size is known before it joins a batch, and closing a batch costs a copy.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        field = self._raw["fields"][0]
        self.field: str = field["name"]
        self.item = avro.writer(_parsed(field["type"]["items"]), RUNS, hot=self._hot)
        """The bytes of one item."""

    def join(self, items: Sequence[bytes]) -> bytes:
        """Items of ``item`` as one Kafka value; at least one."""
        return b"".join((self.header, varint.size(len(items)), *items, b"\x00"))

    def batch(self, data: Sequence[Any]) -> bytes:
        return self.join([self.item(d) for d in data])

    def items(self, data: bytes) -> list[Any]:
        return cast("list[Any]", self.decode(data)[self.field])

    def placer(self, *fields: str) -> Callable[[bytes], list[Any]]:
        """Returns a function like ``items`` that adds ``places`` to each item: where in the bytes these fields begin.

        Items of an earlier version have no ``places``.
        """
        read = avro.reader(self.schema, READ_RUNS, places=fields, hot=self._hot)
        return lambda data: cast("list[Any]", self._decode(data, read)[self.field])

    def tail(self, first: str) -> avro.Write:
        """A function that encodes the fields of an item from this field on."""
        fields = self.schema["fields"][0]["type"]["items"]["fields"]
        begin = next(n for n, field in enumerate(fields) if field["name"] == first)
        return avro.writer({"type": "record", "name": "Tail", "fields": fields[begin:]}, RUNS, hot=self._hot)

    def skimmer(self, *fields: str) -> Callable[[bytes], list[Any]]:
        """A function as ``items`` whose items need have no other fields than these."""
        read = avro.reader(self.schema, READ_RUNS, (self.field, *fields), hot=self._hot)
        return lambda data: cast("list[Any]", self._decode(data, read)[self.field])


_events = BatchCodec("event_batch")
_skim_events = _events.skimmer("workspace", "environment", "source", "received_ms")
_place_events = _events.placer("event_id", "contact_id", "identifiers", "origin_partition")
encode_event: Callable[[Event], bytes] = _events.item
"""The bytes of an event alone, as in a batch."""
encode_origin: Callable[[Event], bytes] = _events.tail("origin_partition")
"""The bytes of an event's fields from ``origin_partition`` on."""
_links = BatchCodec("link_batch")
_changes = BatchCodec("change_batch")
_receipts = BatchCodec("receipt_batch")
_merge = Codec("merge")
_absorb = Codec("absorb")
_quarantined = Codec("quarantined")
_refusal = Codec("refusal")
_delivery = Codec("delivery")
_attempts = BatchCodec("attempt_batch")
WEBHOOK_TEST = Codec("webhook_test")
WEBHOOK_TEST_RESULT = Codec("webhook_test_result")
ALL: tuple[Codec, ...] = (
    *(_events, _links, _changes, _receipts, _merge, _absorb, _quarantined, _refusal),
    *(_delivery, _attempts, WEBHOOK_TEST, WEBHOOK_TEST_RESULT),
)


def join_events(items: Sequence[bytes]) -> bytes:
    return _events.join(items)


def encode_events(events: Sequence[Event]) -> bytes:
    return _events.batch(events)


def decode_events(data: bytes) -> list[Event]:
    return _events.items(data)


def decode_placed_events(data: bytes) -> list[PlacedEvent]:
    """As ``decode_events``, with the places of the fields that the identity stage sets."""
    return cast("list[PlacedEvent]", _place_events(data))


def skim_events(data: bytes) -> list[EventOrigin]:
    """Reads each event's origin and time, at less cost than ``decode_events``; raises ``UndecodableError``."""
    return cast("list[EventOrigin]", _skim_events(data))


def encode_links(links: Sequence[Link]) -> bytes:
    return _links.batch(links)


def decode_links(data: bytes) -> list[Link]:
    return _links.items(data)


def encode_changes(changes: Sequence[Change]) -> bytes:
    return _changes.batch(changes)


def decode_changes(data: bytes) -> list[Change]:
    return _changes.items(data)


def encode_receipts(receipts: Sequence[Receipt]) -> bytes:
    return _receipts.batch(receipts)


def decode_receipts(data: bytes) -> list[Receipt]:
    return _receipts.items(data)


def encode_merge(merge: Merge) -> bytes:
    return _merge.encode(merge)


def decode_merge(data: bytes) -> Merge:
    return cast("Merge", _merge.decode(data))


def encode_absorb(absorb: Absorb) -> bytes:
    return _absorb.encode(absorb)


def decode_absorb(data: bytes) -> Absorb:
    return cast("Absorb", _absorb.decode(data))


def encode_quarantined(row: Quarantined) -> bytes:
    return _quarantined.encode(row)


def decode_quarantined(data: bytes) -> Quarantined:
    return cast("Quarantined", _quarantined.decode(data))


def encode_refusal(row: RefusedRequest) -> bytes:
    return _refusal.encode(row)


def decode_refusal(data: bytes) -> RefusedRequest:
    return cast("RefusedRequest", _refusal.decode(data))


def encode_delivery(delivery: WebhookDelivery) -> bytes:
    return _delivery.encode(delivery)


def decode_delivery(data: bytes) -> WebhookDelivery:
    return cast("WebhookDelivery", _delivery.decode(data))


def encode_attempts(attempts: Sequence[Attempt]) -> bytes:
    return _attempts.batch(attempts)


def decode_attempts(data: bytes) -> list[Attempt]:
    return _attempts.items(data)
