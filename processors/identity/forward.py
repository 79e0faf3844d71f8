"""An event and the record that it was read from in; the event's bytes for `resolved` out; pure."""

from schemas.records import varint
from schemas.records.codec import encode_event, encode_origin
from schemas.records.records import PlacedEvent


def forward_event(event: PlacedEvent, data: bytes) -> bytes:
    """Encodes an event of this record that now differs in contact, origin and ``repeat``; copies the other bytes."""
    places = event.get("places")
    if places is None:  # it was read from a record of an earlier version
        return encode_event(event)
    start, contact, rest, origin = places
    contact_id = event["contact_id"].encode()
    return b"".join(
        [data[start:contact], varint.size(len(contact_id)), contact_id, data[rest:origin], encode_origin(event)]
    )
