"""An event as it was read, and the record that it came in; the event's bytes for `resolved` out; pure."""

from schemas.records import varint
from schemas.records.codec import encode_event, encode_origin
from schemas.records.records import PlacedEvent


def forward_event(event: PlacedEvent, data: bytes) -> bytes:
    """Like ``encode_event``, for an event of this record that differs only in contact, origin and ``repeat``.

    The rest is copied, which costs a third.
    """
    places = event.get("places")
    if places is None:
        return encode_event(event)
    start, contact, rest, origin = places
    contact_id = event["contact_id"].encode()
    return b"".join(
        [data[start:contact], varint.size(len(contact_id)), contact_id, data[rest:origin], encode_origin(event)]
    )
